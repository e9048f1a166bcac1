"""Train an LLM whose LoRA experts the user's history gates.   python -m stages.train_teacher_ilora sasrec
Reads the pinned base, data/idrec/<method>, the items, data/interactions of training and development users and of
others; writes data/ilora/<method>, with folds their teachers too, and plots/training/ilora-<method>.csv."""

import shutil
from functools import partial
from pathlib import Path

import polars as pl

from kitrec.core import files, params, tables
from kitrec.ilora.fold_training import EncoderTraining, train_fold_teachers
from kitrec.ilora.folds import FOLDS, fold_of_users
from kitrec.ilora.params import Ilora, Tasks
from kitrec.ilora.training import SELECTION, TrainingData, planned_stretches, train_teacher
from kitrec.ilora.user_tasks import tasks_from_steps
from kitrec.llm.base.pinning import FILE, read_pinned
from kitrec.recommenders.params import IdRec, SequenceMethod
from kitrec.recommenders.storage import load_model
from kitrec.recommenders.train import TrainingData as EncoderData
from kitrec.schemas.interactions import SPLIT_INTERACTIONS
from kitrec.schemas.items import ITEMS
from kitrec.training.device import use_device
from kitrec.training.params import Trainer
from kitrec.training.progress import latest_metrics, progress_bar, training_bar
from kitrec.training.state import Progress
from kitrec.training.validation_users import sample_rows
from stages.lib import paths, runner, seeds
from stages.lib.training_interactions import read_training


def main(method: str, quiet: runner.Quiet = runner.NO_TERMINAL) -> None:
    """Train the teacher whose gate reads the user embedding of METHOD, a sequence model of data/idrec."""
    # 1. Params and inputs
    seed, train_on = seeds.training_seed(), params.value(IdRec, "idrec.train_on")
    p, tasks = params.load(Ilora, "ilora.teacher"), params.load(Tasks, "ilora.tasks")
    m = params.load(SequenceMethod, f"idrec.methods.{method}")
    trials, pin_memory = params.value(IdRec, "idrec.trials"), params.value(IdRec, "idrec.pin_memory")
    trainer, encoder = params.load(Trainer, "trainer"), paths.recommender(method)
    sources = {role: paths.interactions(role) for role in ("train", "development", "others")}
    reads = [FILE, encoder, paths.ITEMS, *sources.values()]
    stage_params = [seed, p, tasks, m, train_on, trials, pin_memory, trainer]
    with runner.running("train_teacher_ilora", method, reads=reads, params=stage_params) as run:
        # 2. Next-item tasks from the newest steps of every user
        base, items = read_pinned(), tables.read(paths.ITEMS, ITEMS)
        train, development = (tables.read(sources[role], SPLIT_INTERACTIONS) for role in ("train", "development"))
        newest, count = tasks.steps_per_user, tasks.candidates
        build = partial(tasks_from_steps, items=items, history=m.history, newest=newest, count=count, seed=seed)
        validated = build(sample_rows(development, trainer.llm_validation_users, seed))
        by_id = {row["item_id"]: row for row in items.iter_rows(named=True)}
        data = TrainingData(seed, by_id, build(train), validated, run.work / "training")
        # 3. Training, resumed from the newest checkpoint; the best weights are stored
        name, stretches = f"ilora-{method}", planned_stretches(data.train.height, p.training)
        with training_bar(name, stretches, SELECTION.metric, quiet=quiet, unit="update") as show:
            stored = load_model(encoder, use_device(trainer.device))
            progress = train_teacher(p, base, stored, data, show, run.work / "teacher")
        # 4. With folds: a sequence model and a teacher of the users outside each
        if p.folds > 1:
            fitted = (read_training(train_on), development, run.work, pin_memory, trainer.validation_users)
            training = EncoderTraining(method, m, trials, EncoderData(seed, items, *fitted))
            with progress_bar(quiet=quiet) as bar:

                def show_fold(line: str, epochs: int, progress: Progress) -> None:
                    bar.update(line, progress.epoch, epochs, latest_metrics(progress, SELECTION.metric))

                users, folds = fold_of_users(train, p.folds, seed), run.work / FOLDS
                run.cost["fold_seconds"] = train_fold_teachers(p, base, training, data, users, show_fold, folds)
        # 5. The folder, complete at once, and the curve
        with files.atomic(paths.ilora_teacher(method)) as draft:
            shutil.copytree(run.work / "teacher", draft)
            if p.folds > 1:
                shutil.copytree(run.work / FOLDS, draft / FOLDS)
            run.cost["megabytes"] = round(sum(f.stat().st_size for f in draft.rglob("*") if f.is_file()) / 1e6, 2)
        curve = pl.DataFrame(progress.rows, infer_schema_length=None).with_columns(pl.selectors.float().round(6))
        with files.atomic(Path(f"plots/training/{name}.csv")) as draft:
            curve.write_csv(draft)


if __name__ == "__main__":
    runner.start(main)
