"""Evaluate a trained iLoRA teacher as its papers do.   python -m stages.examine_teacher sasrec
Reads the pinned base, data/ilora/<method>, data/idrec/<method>, items, the test users' interactions and records;
writes metrics/ilora/<method>.json: HitRatio@1 and ValidRatio of 20 candidates and of all."""

from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from kitrec.core import files, params, tables
from kitrec.core.shards import by_slice, compute_in_shards
from kitrec.ilora.export import SHARD_SIZE
from kitrec.ilora.paper_metrics import PAPER_CANDIDATES, TEACHER_ANSWERS, answer_tasks, hit_ratios, shorten_candidates
from kitrec.ilora.user_tasks import tasks_from_records
from kitrec.llm.base.loading import load_tokenizer
from kitrec.llm.base.pinning import FILE, read_pinned
from kitrec.preprocessing.params import Data
from kitrec.recommenders.params import AnyMethod
from kitrec.schemas.interactions import SPLIT_INTERACTIONS
from kitrec.schemas.records import RECORDS, TEXT_COLUMNS
from kitrec.training.progress import count_bar
from stages.lib import paths, runner
from stages.lib.ilora_teacher import trained_teacher


def main(method: str, quiet: runner.Quiet = runner.NO_TERMINAL) -> None:
    """Predict every test user's next item with the teacher of METHOD's encoder, by scores and by generated answers."""
    # 1. Params and inputs
    sets = params.value(Data, "data.test_sets")
    history = params.value(AnyMethod, f"idrec.methods.{method}.history")  # type: ignore[arg-type]  # a union
    folder, encoder, source = paths.ilora_teacher(method), paths.recommender(method), paths.interactions("test")
    tests = {which: paths.set_records(which, "test") for which in sets}
    reads = [FILE, folder, encoder, paths.ITEMS, source, *tests.values()]
    with runner.running("examine_teacher", method, reads=reads, params=[sets, history]) as run:
        # 2. The teacher, and the test records as tasks: with all candidates, and with as many as in the papers
        trained = trained_teacher(folder, encoder)
        tokenizer, interactions = load_tokenizer(read_pinned()), tables.read(source, SPLIT_INTERACTIONS)
        tasks_by_list = {
            (which, name): tasks
            for which, path in tests.items()
            for name, tasks in _candidate_lists(
                tasks_from_records(tables.read(path, RECORDS, leave_out=TEXT_COLUMNS), interactions, history)
            ).items()
        }
        # 3. Its answers and their hit ratios
        metrics: dict[str, Any] = {f"set{which}": {} for which in sets}
        with count_bar("answered", sum(tasks.height for tasks in tasks_by_list.values()), quiet=quiet) as advance:
            for (which, name), tasks in tasks_by_list.items():
                scored = name != "all"  # infer_teacher scores those
                answer = partial(
                    answer_tasks,
                    trained.teacher,
                    trained.builder,
                    tokenizer,
                    scored=scored,
                    per_token=trained.per_token,
                )
                work, compute = run.work / f"{which}-{name}", by_slice(tasks, answer)
                answers = compute_in_shards(tasks.height, SHARD_SIZE, work, TEACHER_ANSWERS, compute, advance)
                metrics[f"set{which}"][name] = hit_ratios(answers, tasks, trained.builder)
        files.write_json(metrics, Path(f"metrics/ilora/{method}.json"))


def _candidate_lists(tasks: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Return the tasks with all their candidates and, if those are more, with as many as in the papers."""
    shortened = shorten_candidates(tasks, PAPER_CANDIDATES)
    return {"all": tasks} if shortened.equals(tasks) else {"all": tasks, str(PAPER_CANDIDATES): shortened}


if __name__ == "__main__":
    runner.start(main)
