"""Examine a trained iLoRA teacher as its papers do.   python -m stages.examine_teacher sasrec
Reads the pinned base, data/ilora/<method>, data/idrec/<method>, items, the test readers' interactions and records;
writes metrics/ilora/<method>.json: HitRatio@1 and ValidRatio of 20 candidates and of all."""

from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from kitrec.core import files, params, tables
from kitrec.core.shards import in_shards, of_rows
from kitrec.ilora.export import SHARD
from kitrec.ilora.paper_metrics import EXAMINED, LISTED, examine, ratios, shorter
from kitrec.ilora.user_tasks import tasks_of_records
from kitrec.llm.base.loading import load_tokenizer
from kitrec.llm.base.pinning import FILE, read_pinned
from kitrec.preprocessing.params import Data
from kitrec.recommenders.params import AnyMethod
from kitrec.schemas.records import RECORDS
from kitrec.schemas.split_interactions import SEEN
from kitrec.training.progress import count_bar
from stages.lib import paths, runner
from stages.lib.ilora_teacher import trained_teacher


def main(method: str, quiet: runner.Quiet = runner.NOBODY_WATCHES) -> None:
    """Let the teacher with METHOD's eyes name the next item of every test reader, by score and by its own words."""
    sets = params.value(Data, "data.test_sets")
    history = params.value(AnyMethod, f"idrec.methods.{method}.history")  # type: ignore[arg-type]  # a union
    folder, own = Path("data/ilora") / method, Path("data/idrec") / method
    tests, seen = {which: paths.set_records(which, "test") for which in sets}, paths.interactions("test")
    reads = [FILE, folder, own, paths.ITEMS, seen, *tests.values()]
    with runner.running("examine_teacher", method, reads=reads, params=[sets, history]) as run:
        teacher, writer, _, per_token = trained_teacher(folder, own)
        tokenizer, met = load_tokenizer(read_pinned()), tables.read(seen, SEEN)
        whole = {w: tasks_of_records(tables.read(path, RECORDS), met, history) for w, path in tests.items()}
        asked = {(which, name): tasks for which, own in whole.items() for name, tasks in lists_of(own).items()}
        metrics: dict[str, Any] = {f"set{which}": {} for which in sets}
        with count_bar("answered", sum(tasks.height for tasks in asked.values()), quiet=quiet) as advance:
            for (which, name), tasks in asked.items():
                scored = name != "all"  # infer_teacher scores those
                examined = partial(examine, teacher, writer, tokenizer, scored=scored, per_token=per_token)
                work = run.work / f"{which}-{name}"
                found = in_shards(tasks.height, SHARD, work, EXAMINED, of_rows(tasks, examined), advance)
                metrics[f"set{which}"][name] = ratios(found, tasks, writer)
        files.write_json(metrics, Path(f"metrics/ilora/{method}.json"))


def lists_of(tasks: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """The tasks with all their candidates, and where those are more, with as many as in the papers."""
    few = shorter(tasks, LISTED)
    return {"all": tasks} if few.equals(tasks) else {"all": tasks, str(LISTED): few}


if __name__ == "__main__":
    runner.start(main)
