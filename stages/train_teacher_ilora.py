"""Train an LLM whose experts a reader's history mixes.   python -m stages.train_teacher_ilora sasrec
Reads the pinned base, data/idrec/<method>, the items, data/interactions of the training and development users; writes
data/ilora/<method> and its curve in plots/training/ilora-<method>.csv."""

from pathlib import Path

import polars as pl

from kitrec.core import files, params, tables
from kitrec.ilora.learning import TrainingData, train_teacher
from kitrec.ilora.params import Ilora, Tasks
from kitrec.ilora.training import SELECTION, planned_stretches
from kitrec.ilora.user_tasks import tasks_of_steps
from kitrec.llm.base.pinning import FILE, read_pinned
from kitrec.recommenders.params import AnyMethod
from kitrec.recommenders.storage import load_model
from kitrec.schemas.items import ITEMS
from kitrec.schemas.split_interactions import SEEN
from kitrec.training.progress import training_bar
from stages.lib import paths, runner


def main(method: str, quiet: runner.Quiet = runner.NOBODY_WATCHES) -> None:
    """METHOD is the sequence model of data/idrec whose vector of a reader opens the gate."""
    seed = params.load(int, "seed")
    p = params.load(Ilora, "ilora.teacher")
    asked = params.load(Tasks, "ilora.tasks")
    history = params.value(AnyMethod, f"idrec.methods.{method}.history")  # type: ignore[arg-type]  # a union
    folder, sources = Path("data/idrec") / method, {role: paths.interactions(role) for role in ("train", "development")}
    reads = [FILE, folder, paths.ITEMS, *sources.values()]
    with runner.running("train_teacher_ilora", method, reads=reads, params=[seed, p, asked, history]) as run:
        items = tables.read(paths.ITEMS, ITEMS)
        train, development = (
            tasks_of_steps(
                tables.read(path, SEEN), items, history, newest=asked.steps, count=asked.candidates, seed=seed
            )
            for path in sources.values()
        )
        known = {row["item_id"]: row for row in items.iter_rows(named=True)}
        data = TrainingData(seed, known, train, development, run.work)
        stretches = planned_stretches(train.height, p.course)
        with training_bar(f"ilora-{method}", stretches, SELECTION.metric, quiet=quiet, unit="update") as show:
            progress = train_teacher(p, read_pinned(), load_model(folder), data, show, Path("data/ilora") / method)
        with files.whole(Path(f"plots/training/ilora-{method}.csv")) as draft:
            pl.DataFrame(progress.rows, infer_schema_length=None).with_columns(pl.selectors.float().round(6)).write_csv(
                draft
            )


if __name__ == "__main__":
    runner.start(main)
