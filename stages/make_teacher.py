"""A teacher that is no LLM: the world's oracle, or an ensemble.   python -m stages.make_teacher oracle
Reads data/interactions of the training users (and data/world); writes data/teachers/<teacher>: lists.parquet,
vectors.safetensors where it has vectors of items, and the members of an ensemble."""

import time
from pathlib import Path

from kitrec.core import files, params, tables
from kitrec.distillation.alignment import full_sequences
from kitrec.distillation.ensemble import fit_ensemble
from kitrec.distillation.ensemble_storage import save_members
from kitrec.distillation.item_embeddings import write_embeddings
from kitrec.distillation.oracle_teacher import oracle_lists
from kitrec.distillation.params import Ensemble
from kitrec.recommenders.data.user_histories import training_sequences, user_targets
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.schemas.split_interactions import SPLIT_INTERACTIONS
from kitrec.schemas.teacher_lists import TEACHER_LISTS
from kitrec.synthetic.histories import USER_TRUTH
from kitrec.synthetic.items import ITEM_TRUTH
from kitrec.synthetic.params import World
from stages.lib import paths, runner


def main(teacher: str) -> None:
    """Let TEACHER (oracle, ensemble) rank every place of the training sequences."""
    seed = params.load(int, "seed")
    world = params.load(World, "world")
    ensemble = params.load(Ensemble, "distillation.ensemble")
    truths = [paths.WORLD / name for name in ("item_truth.parquet", "user_truth.parquet")]
    reads = [paths.interactions("train"), *(truths if teacher == "oracle" else [])]
    with runner.running("make_teacher", teacher, reads=reads, params=[seed, world, ensemble]) as run:
        seen, began = tables.read(paths.interactions("train"), SPLIT_INTERACTIONS), time.perf_counter()
        vocabulary, who = Vocabulary(seen["item_id"]), user_targets(seen)
        rows = full_sequences(training_sequences(seen, who, "both", vocabulary), who)
        with files.atomic(Path("data/teachers") / teacher) as folder:
            folder.mkdir()
            if teacher == "oracle":
                known = tables.read(truths[0], ITEM_TRUTH), tables.read(truths[1], USER_TRUTH)
                lists = oracle_lists(world, rows, vocabulary, seen, known, ensemble.list_length)
            else:
                fitted = fit_ensemble(ensemble, rows, vocabulary, seed, run.work)
                run.cost["train_seconds"] = round(time.perf_counter() - began, 2)
                save_members(fitted, vocabulary, rows.sequences, folder / "members")
                began = time.perf_counter()
                lists = fitted.lists(rows, vocabulary)
                run.cost["setTrain"] = {"seconds": round(time.perf_counter() - began, 2), "records": lists.height}
                if vectors := fitted.embeddings(vocabulary):
                    write_embeddings(vectors, folder / "vectors.safetensors")
            tables.write(lists, folder / "lists.parquet", TEACHER_LISTS)
        run.cost["export_seconds"] = round(time.perf_counter() - began, 2)


if __name__ == "__main__":
    runner.start(main)
