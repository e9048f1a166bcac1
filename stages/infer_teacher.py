"""Rank with a trained iLoRA teacher.   python -m stages.infer_teacher sasrec
Reads the pinned base, data/ilora/<method>, data/idrec/<method>, items, interactions and test records; writes for its
students data/teachers/ilora-<method> (lists.parquet, vectors.safetensors), and data/rankings/ilora-<method>."""

import shutil
import time

import polars as pl

from kitrec.core import files, params, tables
from kitrec.core.shards import TimedShards, by_slice, compute_in_shards
from kitrec.distillation.item_embeddings import write_embeddings
from kitrec.ilora.export import SHARD_SIZE, item_embeddings, score_candidates
from kitrec.ilora.folds import rows_by_teacher
from kitrec.ilora.params import Tasks
from kitrec.ilora.user_tasks import tasks_from_records, tasks_from_steps
from kitrec.llm.base.pinning import FILE
from kitrec.preprocessing.params import Data
from kitrec.recommenders.params import AnyMethod
from kitrec.schemas.interactions import SPLIT_INTERACTIONS
from kitrec.schemas.items import ITEMS
from kitrec.schemas.rankings import RANKINGS, from_scores
from kitrec.schemas.records import RECORDS, TEXT_COLUMNS
from kitrec.schemas.teacher_lists import TEACHER_LISTS
from kitrec.training.progress import count_bar
from stages.lib import paths, runner, seeds
from stages.lib.ilora_teacher import list_steps, trained_teacher


def main(method: str, quiet: runner.Quiet = runner.NO_TERMINAL) -> None:
    """Export lists and vectors of the teacher with METHOD's encoder for students, and rank the test candidates."""
    # 1. Params and inputs
    seed, p = seeds.training_seed(), params.load(Tasks, "ilora.tasks")
    sets = params.value(Data, "data.test_sets")
    history = params.value(AnyMethod, f"idrec.methods.{method}.history")  # type: ignore[arg-type]  # a union
    name, folder, encoder = f"ilora-{method}", paths.ilora_teacher(method), paths.recommender(method)
    tests = {which: paths.set_records(which, "test") for which in sets}
    sources = [paths.interactions(role) for role in ("train", "test")]
    reads = [FILE, folder, encoder, paths.ITEMS, *sources, *tests.values()]
    with runner.running("infer_teacher", method, reads=reads, params=[seed, p, sets, history]) as run:
        # 2. The steps of the training users that get a list, each with its teacher; the test records
        records_by_set = {which: tables.read(path, RECORDS, leave_out=TEXT_COLUMNS) for which, path in tests.items()}
        train, test = (tables.read(path, SPLIT_INTERACTIONS) for path in sources)
        start, newest = time.perf_counter(), None if p.listed_steps == "all" else p.listed_steps
        items = tables.read(paths.ITEMS, ITEMS)
        steps = tasks_from_steps(train, items, history, newest=newest, count=p.candidates, seed=seed)
        tasks = steps.height + sum(records.height for records in records_by_set.values())
        with count_bar("answered", tasks, quiet=quiet) as advance:
            # 3. For students: a list of every step, by a teacher of other users if there are folds
            parts = rows_by_teacher(folder, encoder, steps)
            lists = pl.concat([list_steps(rows, p, seed, run.work, advance) for rows in parts])
            # 4. And item vectors from the LLM; the teacher of all users gives these and ranks the test
            teacher, builder, _, per_token = trained_teacher(folder, encoder)
            if not (vectors := run.work / "vectors.safetensors").exists():  # the LLM reads the whole catalogue
                item_ids = sorted(teacher.sequence_encoder.item_numbers)
                write_embeddings(item_embeddings(teacher, item_ids, builder, steps["history"].to_list()), vectors)
            with files.atomic(paths.teacher(name)) as to:
                to.mkdir()
                tables.write(lists, to / "lists.parquet", TEACHER_LISTS)
                shutil.copyfile(vectors, to / vectors.name)
            run.cost |= {"export_seconds": round(time.perf_counter() - start, 2), "lists": lists.height}

            # 5. Rankings of the test candidates
            def rank_records(rows: pl.DataFrame) -> pl.DataFrame:
                scores = score_candidates(teacher, rows, builder, per_token=per_token)
                return from_scores(name, rows, [values.tolist() for values in scores])

            ranked: dict[str, pl.DataFrame] = {}
            for which, records in records_by_set.items():
                columns = tasks_from_records(records, test, history).select("history", "candidates", "ground_truth")
                timed = TimedShards(by_slice(pl.concat([records, columns], how="horizontal"), rank_records))
                ranked[f"set{which}"] = compute_in_shards(
                    records.height, SHARD_SIZE, run.work / which, RANKINGS, timed, advance
                )
                run.cost[f"set{which}"] = timed.cost()
        tables.write_all(ranked, paths.rankings(name), RANKINGS)


if __name__ == "__main__":
    runner.start(main)
