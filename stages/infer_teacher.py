"""Let a trained iLoRA teacher rank.   python -m stages.infer_teacher sasrec
Reads the pinned base, data/ilora/<method>, data/idrec/<method>, items, interactions and test records; writes for its
students data/teachers/ilora-<method> (lists.parquet, vectors.safetensors), and data/rankings/ilora-<method>."""

import time
from pathlib import Path

import polars as pl

from kitrec import files, params, tables
from kitrec.contracts.items import ITEMS
from kitrec.contracts.rankings import RANKINGS, from_scores
from kitrec.contracts.records import RECORDS
from kitrec.contracts.seen import SEEN
from kitrec.distill.embeddings import write_embeddings
from kitrec.distill.teacher_table import TEACHER
from kitrec.idrec.params import AnyMethod
from kitrec.idrec.storing import load_model
from kitrec.ilora.exporting import item_embeddings, rank, scores
from kitrec.ilora.eyes import Eyes
from kitrec.ilora.learning import writer_for
from kitrec.ilora.params import Tasks
from kitrec.ilora.reader_tasks import tasks_of_records, tasks_of_steps, with_likely_candidates
from kitrec.ilora.storing import load_teacher, params_of
from kitrec.llm.base_model import load_tokenizer
from kitrec.llm.base_weights import load_in
from kitrec.llm.pinned_base import FILE, read_pinned
from kitrec.prep.params import Data
from kitrec.prompts.tokens import Encoder
from stages import entry, paths


def main(method: str) -> None:
    """Hand on what the teacher with METHOD's eyes makes of the newest training steps, and rank the test candidates."""
    seed = params.load(int, "seed")
    asked = params.load(Tasks, "ilora.tasks")
    sets = params.value(Data, "data.test_sets")
    history = params.value(AnyMethod, f"idrec.methods.{method}.history")  # type: ignore[arg-type]  # a union
    folder, own, name = Path("data/ilora") / method, Path("data/idrec") / method, f"ilora-{method}"
    tests, seen = {w: paths.set_records(w, "test") for w in sets}, [paths.interactions(r) for r in ("train", "test")]
    reads = [FILE, folder, own, paths.ITEMS, *seen, *tests.values()]
    with entry.running("infer_teacher", method, reads=reads, params=[seed, asked, sets, history]) as run:
        base, p, items = read_pinned(), params_of(folder), tables.read(paths.ITEMS, ITEMS)
        teacher = load_teacher(folder, load_in(base, p.base_weights), base, Eyes(load_model(own)))
        known = {row["item_id"]: row for row in items.iter_rows(named=True)}
        writer = writer_for(teacher, Encoder(load_tokenizer(base)), known, p)
        train, test = (tables.read(path, SEEN) for path in seen)
        began = time.perf_counter()
        steps = tasks_of_steps(train, items, history, newest=asked.steps, count=asked.candidates, seed=seed)
        steps = with_likely_candidates(steps, teacher.eyes, items, count=asked.candidates, seed=seed)
        with files.whole(Path("data/teachers") / name) as to:
            to.mkdir()
            tables.write(rank(teacher, steps, writer, asked.top, per_token=p.per_token), to / "lists.parquet", TEACHER)
            vectors = item_embeddings(teacher, sorted(teacher.eyes.numbers), writer, steps["history"].to_list())
            write_embeddings(vectors, to / "vectors.safetensors")
        run.cost["export_seconds"] = round(time.perf_counter() - began, 2)
        ranked: dict[str, pl.DataFrame] = {}
        for which, path in tests.items():
            records, began = tables.read(path, RECORDS), time.perf_counter()
            tasks = tasks_of_records(records, test, history)
            values = [found.tolist() for found in scores(teacher, tasks, writer, per_token=p.per_token)]
            ranked[f"set{which}"] = from_scores(name, records, values)
            run.cost[f"set{which}"] = {"seconds": round(time.perf_counter() - began, 2), "records": records.height}
        tables.write_all(ranked, paths.rankings(name), RANKINGS)


if __name__ == "__main__":
    entry.start(main)
