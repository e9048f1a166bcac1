"""Train an LLM whose LoRA experts the user's history gates.   python -m stages.train_teacher_ilora sasrec
Reads the pinned base, data/idrec/<method>, the items, data/interactions of the training and development users; writes
data/ilora/<method> and its curve in plots/training/ilora-<method>.csv."""

from pathlib import Path

import polars as pl

from kitrec.core import files, params, tables
from kitrec.ilora.params import Ilora, Tasks
from kitrec.ilora.training import SELECTION, TrainingData, planned_stretches, train_teacher
from kitrec.ilora.user_tasks import tasks_from_steps
from kitrec.llm.base.pinning import FILE, read_pinned
from kitrec.recommenders.params import AnyMethod
from kitrec.recommenders.storage import load_model
from kitrec.schemas.interactions import SPLIT_INTERACTIONS
from kitrec.schemas.items import ITEMS
from kitrec.training.device import use_device
from kitrec.training.params import Trainer
from kitrec.training.progress import training_bar
from kitrec.training.validation_users import sample_rows
from stages.lib import paths, runner


def main(method: str, quiet: runner.Quiet = runner.NO_TERMINAL) -> None:
    """Train the teacher whose gate reads the user embedding of METHOD, a sequence model of data/idrec."""
    # 1. Params and inputs
    seed = params.load(int, "seed")
    p, tasks = params.load(Ilora, "ilora.teacher"), params.load(Tasks, "ilora.tasks")
    history = params.value(AnyMethod, f"idrec.methods.{method}.history")  # type: ignore[arg-type]  # a union
    encoder, device = paths.recommender(method), use_device(params.value(Trainer, "trainer.device"))
    most = params.value(Trainer, "trainer.llm_validation_users")
    sources = {role: paths.interactions(role) for role in ("train", "development")}
    reads = [FILE, encoder, paths.ITEMS, *sources.values()]
    with runner.running("train_teacher_ilora", method, reads=reads, params=[seed, p, tasks, history, most]) as run:
        # 2. Next-item tasks from the newest steps of every user
        items = tables.read(paths.ITEMS, ITEMS)

        def build_tasks(interactions: pl.DataFrame) -> pl.DataFrame:
            newest, count = tasks.steps_per_user, tasks.candidates
            return tasks_from_steps(interactions, items, history, newest=newest, count=count, seed=seed)

        tables_of = {role: tables.read(path, SPLIT_INTERACTIONS) for role, path in sources.items()}
        train = build_tasks(tables_of["train"])
        development = build_tasks(sample_rows(tables_of["development"], most, seed))
        items_by_id = {row["item_id"]: row for row in items.iter_rows(named=True)}
        data = TrainingData(seed, items_by_id, train, development, run.work)
        # 3. Training, resumed from the newest checkpoint; the best weights are stored
        name, stretches = f"ilora-{method}", planned_stretches(train.height, p.training)
        with training_bar(name, stretches, SELECTION.metric, quiet=quiet, unit="update") as show:
            stored = load_model(encoder, device)
            progress = train_teacher(p, read_pinned(), stored, data, show, paths.ilora_teacher(method))
        # 4. The curve
        curve = pl.DataFrame(progress.rows, infer_schema_length=None).with_columns(pl.selectors.float().round(6))
        with files.atomic(Path(f"plots/training/{name}.csv")) as draft:
            curve.write_csv(draft)


if __name__ == "__main__":
    runner.start(main)
