"""Let a trained iLoRA teacher rank.   python -m stages.infer_teacher sasrec
Reads the pinned base, data/ilora/<method>, data/idrec/<method>, items, interactions and test records; writes for its
students data/teachers/ilora-<method> (lists.parquet, vectors.safetensors), and data/rankings/ilora-<method>."""

import shutil
import time
from functools import partial
from pathlib import Path

import polars as pl

from kitrec.core import files, params, tables
from kitrec.core.shards import Clocked, in_shards, of_rows
from kitrec.distillation.item_embeddings import write_embeddings
from kitrec.ilora.export import SHARD, item_embeddings, rank, scores
from kitrec.ilora.params import Tasks
from kitrec.ilora.prompts import Writer
from kitrec.ilora.teacher import Teacher
from kitrec.ilora.user_tasks import tasks_of_records, tasks_of_steps, with_likely_candidates
from kitrec.llm.base.pinning import FILE
from kitrec.preprocessing.params import Data
from kitrec.recommenders.params import AnyMethod
from kitrec.schemas.rankings import RANKINGS, from_scores
from kitrec.schemas.records import RECORDS
from kitrec.schemas.split_interactions import SEEN
from kitrec.schemas.teacher_lists import TEACHER
from kitrec.training.progress import count_bar
from stages.lib import paths, runner
from stages.lib.ilora_teacher import trained_teacher

VECTORS = "vectors.safetensors"


def main(method: str, quiet: runner.Quiet = runner.NOBODY_WATCHES) -> None:
    """Hand on what the teacher with METHOD's eyes makes of the newest training steps, and rank the test candidates."""
    seed = params.load(int, "seed")
    asked = params.load(Tasks, "ilora.tasks")
    sets = params.value(Data, "data.test_sets")
    history = params.value(AnyMethod, f"idrec.methods.{method}.history")  # type: ignore[arg-type]  # a union
    folder, own, name = Path("data/ilora") / method, Path("data/idrec") / method, f"ilora-{method}"
    tests, seen = {w: paths.set_records(w, "test") for w in sets}, [paths.interactions(r) for r in ("train", "test")]
    reads = [FILE, folder, own, paths.ITEMS, *seen, *tests.values()]
    with runner.running("infer_teacher", method, reads=reads, params=[seed, asked, sets, history]) as run:
        teacher, writer, items, per_token = trained_teacher(folder, own)
        records = {which: tables.read(path, RECORDS) for which, path in tests.items()}
        train, test = (tables.read(path, SEEN) for path in seen)
        began = time.perf_counter()
        steps = tasks_of_steps(train, items, history, newest=asked.steps, count=asked.candidates, seed=seed)
        steps = with_likely_candidates(steps, teacher.eyes, items, count=asked.candidates, seed=seed)
        ranked: dict[str, pl.DataFrame] = {}
        with count_bar(
            "answered", steps.height + sum(of_set.height for of_set in records.values()), quiet=quiet
        ) as advance:
            listed = of_rows(steps, partial(rank, teacher, writer=writer, top=asked.top, per_token=per_token))
            handed = in_shards(steps.height, SHARD, run.work / "steps", TEACHER, listed, advance)
            with files.whole(Path("data/teachers") / name) as to:
                to.mkdir()
                tables.write(handed, to / "lists.parquet", TEACHER)
                if not (kept := run.work / VECTORS).exists():  # the whole catalogue is read by the LLM
                    known = sorted(teacher.eyes.numbers)
                    write_embeddings(item_embeddings(teacher, known, writer, steps["history"].to_list()), kept)
                shutil.copyfile(kept, to / VECTORS)
            run.cost["export_seconds"] = round(time.perf_counter() - began, 2)
            for which, of_set in records.items():
                tasks = tasks_of_records(of_set, test, history).select("history", "candidates", "truth")
                rows = pl.concat([of_set, tasks], how="horizontal")
                made = Clocked(of_rows(rows, partial(ranked_records, name, teacher, writer, per_token)))
                ranked[f"set{which}"] = in_shards(of_set.height, SHARD, run.work / which, RANKINGS, made, advance)
                run.cost[f"set{which}"] = made.told()
        tables.write_all(ranked, paths.rankings(name), RANKINGS)


def ranked_records(name: str, teacher: Teacher, writer: Writer, per_token: bool, rows: pl.DataFrame) -> pl.DataFrame:
    """The rankings of records that stand beside their tasks."""
    return from_scores(name, rows, [own.tolist() for own in scores(teacher, rows, writer, per_token=per_token)])


if __name__ == "__main__":
    runner.start(main)
