"""Make ThinkRec's records.   python -m stages.convert_thinkrec sasrec
Reads the items, the records of the training and development users and their interactions, data/idrec/<method>; writes
data/thinkrec/records: train.jsonl (likes and dislikes, and why), valid.jsonl, the vectors they name and whose."""

from pathlib import Path

import polars as pl

from kitrec.core import files, params, tables
from kitrec.core.domains import MODELS
from kitrec.preprocessing.params import Data
from kitrec.recommenders.data.user_histories import histories, user_targets
from kitrec.recommenders.params import AnyMethod
from kitrec.schemas.items import ITEMS
from kitrec.schemas.records import RECORDS
from kitrec.schemas.split_interactions import SPLIT_INTERACTIONS
from kitrec.thinkrec.collaborative_vectors import load_seeing
from kitrec.thinkrec.conversion import from_records, histories_of, reader_names, shown_titles, with_reasons
from kitrec.thinkrec.params import ThinkRec
from kitrec.thinkrec.records import write_records
from kitrec.thinkrec.vector_shards import write_shard
from stages.lib import paths, runner
from stages.lib.rationale_teacher import teacher_of

ROLES = {"train": "train", "valid": "development"}


def main(method: str, quiet: runner.Quiet = runner.NOBODY_WATCHES) -> None:
    """Make records of likes, and the vectors that METHOD of idrec.train has of users and items."""
    seed, which = params.load(int, "seed"), params.value(Data, "data.candidate_set")
    history = params.value(AnyMethod, f"idrec.methods.{method}.history")  # type: ignore[arg-type]  # a union
    negatives = params.value(ThinkRec, "thinkrec.negatives")
    teacher = params.value(ThinkRec, "thinkrec.teacher")
    folder, seen = Path("data/idrec") / method, [paths.interactions(role) for role in ROLES.values()]
    records = {part: [paths.model_records(which, m, role) for m in MODELS] for part, role in ROLES.items()}
    reads = [paths.ITEMS, folder, *seen, *(path for own in records.values() for path in own)]
    asked = [seed, which, history, negatives, teacher]
    with runner.running("convert_thinkrec", method, reads=reads, params=asked) as run:
        items, seeing = tables.read(paths.ITEMS, ITEMS), load_seeing(folder)
        own = {part: pl.concat(tables.read(path, RECORDS) for path in found) for part, found in records.items()}
        known = pl.concat(tables.read(path, SPLIT_INTERACTIONS) for path in seen)
        met, titles = histories_of(pl.concat(own.values()), known), shown_titles(items)
        train = from_records(own["train"], met, titles, negatives, seed)
        valid = from_records(own["valid"], met, titles, None, seed)  # few readers: every candidate counts
        explained, dropped = with_reasons(train, teacher_of(teacher, items, seed, quiet=quiet))
        who = user_targets(known)
        users, vectors = seeing.of(reader_names(who), histories(known, who, history, seeing.vocabulary))
        with files.atomic(Path("data/thinkrec/records")) as draft:
            draft.mkdir()
            names = {"users": "users.safetensors", "items": "items.safetensors"}
            write_shard(users, draft / names["users"])
            write_shard(vectors, draft / names["items"])
            write_records([*train, *explained], draft / "train.jsonl", **names)
            write_records(valid, draft / "valid.jsonl", **names)
            files.write_json({"eyes": method, "history": history}, draft / "origin.json")
        run.cost |= {"records": len(train), "explained": len(explained), "valid": len(valid), **dropped}


if __name__ == "__main__":
    runner.start(main)
