"""Train a model over item ids on the users of the LLM's training records.   python -m stages.train_idrec sasrec
Reads the items and data/interactions of training and development users and of others; writes data/idrec/<method>, its
curve in plots/training/idrec-<method>.csv, its validations (with metadata gates) in plots/idrec/<method>.csv, and its
metrics in metrics/train/idrec-<method>.json."""

from dataclasses import asdict
from pathlib import Path

import polars as pl

from kitrec.core import files, params, tables
from kitrec.recommenders.params import AnyMethod, IdRec, NonParametricMethod, RankingMethod, selection_metric
from kitrec.recommenders.train import TrainingData, train_best, validation_curves
from kitrec.schemas.interactions import SPLIT_INTERACTIONS
from kitrec.schemas.items import ITEMS
from kitrec.training.device import use_device
from kitrec.training.params import Trainer
from kitrec.training.progress import training_bar
from kitrec.training.state import Progress
from kitrec.training.tensorboard import tensorboard_callback
from stages.lib import paths, runner, seeds
from stages.lib.training_interactions import read_training


def main(method: str, quiet: runner.Quiet = runner.NO_TERMINAL) -> None:
    """Train METHOD of idrec.methods; the development users' held-out items choose its epoch."""
    # 1. Params and inputs
    seed, train_on = seeds.training_seed(), params.value(IdRec, "idrec.train_on")
    p: RankingMethod = params.load(AnyMethod, f"idrec.methods.{method}")  # type: ignore[arg-type]  # a union
    pin_memory, trials = params.value(IdRec, "idrec.pin_memory"), params.value(IdRec, "idrec.trials")
    use_device(params.value(Trainer, "trainer.device"))
    most = params.value(Trainer, "trainer.validation_users")
    sources = {role: paths.interactions(role) for role in ("train", "development", "others")}
    reads, stage_params = [paths.ITEMS, *sources.values()], [seed, p, train_on, pin_memory, trials, most]
    with runner.running("train_idrec", method, reads=reads, params=stage_params) as run:
        # 2. Interactions to train on
        train, development = read_training(train_on), tables.read(sources["development"], SPLIT_INTERACTIONS)
        data = TrainingData(seed, tables.read(paths.ITEMS, ITEMS), train, development, run.work, pin_memory, most)
        # 3. Progress on the terminal and in TensorBoard; a non-parametric model has no epochs
        epochs = 1 if isinstance(p, NonParametricMethod) else p.training.epochs
        hide_bar = quiet or isinstance(p, NonParametricMethod)
        metric, settings = selection_metric(p), {"seed": seed, **asdict(p), "data": data.sizes()}
        write_tensorboard = tensorboard_callback(Path("logs/idrec") / method, settings, metric)
        # 4. Training of every trial, resumed from its newest checkpoint; the best is stored
        with training_bar(method, epochs, metric, quiet=hide_bar) as show:

            def on_epoch_end(progress: Progress) -> None:
                write_tensorboard(progress)
                show(progress)

            trained, tried = train_best(method, p, trials, data, on_epoch_end, paths.recommender(method))
        # 5. Curves and metrics
        curve = pl.DataFrame(trained.rows, infer_schema_length=None).with_columns(pl.selectors.float().round(6))
        validations = validation_curves(trained.rows, metric)
        for rows, path in ((curve, f"plots/training/idrec-{method}.csv"), (validations, f"plots/idrec/{method}.csv")):
            with files.atomic(Path(path)) as draft:
                rows.write_csv(draft)
        files.write_json(trained.metrics | {"tried": tried}, Path(f"metrics/train/idrec-{method}.json"))


if __name__ == "__main__":
    runner.start(main)
