"""Convert the pipeline's records to ThinkRec's.   python -m stages.convert_thinkrec sasrec
Reads the items, the records of the training and development users and their interactions, data/idrec/<method>; writes
data/thinkrec/records: train.jsonl (labels and rationales), valid.jsonl, their vectors, and where these come from."""

import polars as pl

from kitrec.core import files, params, tables
from kitrec.core.domains import Domains
from kitrec.preprocessing.params import Data
from kitrec.recommenders.data.user_histories import histories, user_targets
from kitrec.recommenders.params import AnyMethod
from kitrec.schemas.interactions import SPLIT_INTERACTIONS
from kitrec.schemas.items import ITEMS
from kitrec.schemas.records import RECORDS, TEXT_COLUMNS
from kitrec.thinkrec.collaborative_vectors import load_collaborative_encoder
from kitrec.thinkrec.conversion import from_records, shown_titles, user_histories, user_keys, with_reasons
from kitrec.thinkrec.params import ThinkRec
from kitrec.thinkrec.records import write_records
from kitrec.thinkrec.vector_shards import write_shard
from stages.lib import paths, runner
from stages.lib.rationale_teacher import load_rationale_teacher

ROLES = {"train": "train", "valid": "development"}
SHARDS = {"users": "users.safetensors", "items": "items.safetensors"}


def main(method: str, quiet: runner.Quiet = runner.NO_TERMINAL) -> None:
    """Write like/dislike records, and the vectors of users and items from METHOD of idrec.train."""
    # 1. Params and inputs
    seed, which = params.load(int, "seed"), params.value(Data, "data.candidate_set")
    history = params.value(AnyMethod, f"idrec.methods.{method}.history")  # type: ignore[arg-type]  # a union
    domains, negatives = params.load(Domains, "domains"), params.value(ThinkRec, "thinkrec.negatives")
    teacher = params.value(ThinkRec, "thinkrec.teacher")
    folder, interactions = paths.recommender(method), [paths.interactions(role) for role in ROLES.values()]
    records = {part: [paths.model_records(which, m, role) for m in domains.models] for part, role in ROLES.items()}
    reads = [paths.ITEMS, folder, *interactions, *(path for listed in records.values() for path in listed)]
    stage_params = [seed, which, domains, history, negatives, teacher]
    with runner.running("convert_thinkrec", method, reads=reads, params=stage_params) as run:
        items, encoder = tables.read(paths.ITEMS, ITEMS), load_collaborative_encoder(folder)
        parts = {
            part: pl.concat(tables.read(path, RECORDS, leave_out=TEXT_COLUMNS) for path in listed)
            for part, listed in records.items()
        }
        rows = pl.concat(tables.read(path, SPLIT_INTERACTIONS) for path in interactions)
        # 2. Labelled records of the candidates, and the rationales of the teacher
        item_lists, titles = user_histories(pl.concat(parts.values()), rows), shown_titles(items)
        train = from_records(parts["train"], item_lists, titles, negatives, seed)
        valid = from_records(parts["valid"], item_lists, titles, None, seed)  # few users: every candidate counts
        explained, dropped = with_reasons(train, load_rationale_teacher(teacher, items, seed, quiet=quiet))
        # 3. The vectors of users and items
        users = user_targets(rows)
        sequences = histories(rows, users, history, encoder.vocabulary)
        user_vectors, item_vectors = encoder.encode(user_keys(users), sequences)
        # 4. The folder of records, shards and their origin
        with files.atomic(paths.THINKREC / "records") as draft:
            draft.mkdir()
            write_shard(user_vectors, draft / SHARDS["users"])
            write_shard(item_vectors, draft / SHARDS["items"])
            write_records([*train, *explained], draft / "train.jsonl", **SHARDS)
            write_records(valid, draft / "valid.jsonl", **SHARDS)
            files.write_json({"encoder": method, "history": history}, draft / "origin.json")
        run.cost |= {"records": len(train), "explained": len(explained), "valid": len(valid), **dropped}


if __name__ == "__main__":
    runner.start(main)
