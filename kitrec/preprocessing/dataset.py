"""From items and interactions to all that the pipeline trains on and is tested on, for both candidate sets at once."""

from dataclasses import dataclass

import polars as pl

from kitrec.core.domains import MODELS, SOURCE, TARGETS, USER_TYPES
from kitrec.preprocessing.params import Candidates
from kitrec.preprocessing.records import Case, build_pools, build_records, history_pairs, hold_out_last
from kitrec.preprocessing.users import Groups, split_training
from kitrec.schemas.split_interactions import SPLIT_INTERACTIONS

ROLES = ("train", "development", "preference", "test")


@dataclass(frozen=True)
class Dataset:
    """The records of each set by role, the interactions that ID models may learn from by role, and the (user, item)
    pairs of training and development users before their held-out items, which all mining is confined to."""

    records: dict[str, dict[str, pl.DataFrame]]
    interactions: dict[str, pl.DataFrame]
    training_history: pl.DataFrame


def build_dataset(
    seed: int,
    roles: Groups,
    development_share: float,
    candidates: Candidates,
    items: pl.DataFrame,
    interactions: pl.DataFrame,
    sets: tuple[str, ...],
    *,
    quiet: bool = True,
) -> Dataset:
    """Hold out the last choices of the sampled users and draw their candidates; the same users in every set."""
    split = split_training(seed, {kind: groups["train"] for kind, groups in roles.items()}, development_share)
    members = {kind: {**roles[kind], **split[kind]} for kind in roles}
    cases = {role: _cases(interactions, members, role) for role in ROLES}
    training_history = history_pairs([*cases["train"], *cases["development"]])
    pools = build_pools(seed, items, training_history)
    return Dataset(
        {
            which: {r: build_records(seed, candidates, pools, items, cases[r], which, quiet=quiet) for r in ROLES}
            for which in sets
        },
        {role: split_interactions(interactions, cases[role]) for role in ROLES},
        training_history,
    )


def by_model(records: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """The records of each of the four models, by the user types it serves."""
    kinds = {model: [k.name for k in USER_TYPES.values() if k.model == model] for model in MODELS}
    return {model: records.filter(pl.col("user_type").is_in(names)) for model, names in kinds.items()}


def split_interactions(interactions: pl.DataFrame, cases: list[Case]) -> pl.DataFrame:
    """What the cases show, with times, and their held-out items marked: the same information the LLM gets."""
    rows = [(c.user, c.kind.target, c.gt[0], c.gt[2]) for c in cases]
    schema = {"user_id": pl.String, "target": pl.String, "gt_item_id": pl.String, "gt_time": pl.Int64}
    held = pl.DataFrame(rows, schema=schema, orient="row")
    last = held.group_by("user_id").agg(pl.col("gt_time").max().alias("until"))
    targets = interactions.join(held, left_on=["user_id", "domain"], right_on=["user_id", "target"]).filter(
        pl.col("time") <= pl.col("gt_time")
    )
    books = (
        interactions.filter(pl.col("domain") == SOURCE)
        .join(last, on="user_id")
        .filter(pl.col("time") < pl.col("until"))
    )
    marked = [
        targets.with_columns(held_out=pl.col("item_id") == pl.col("gt_item_id")),
        books.with_columns(held_out=pl.lit(False)),
    ]
    return pl.concat([part.select(*SPLIT_INTERACTIONS.columns) for part in marked]).sort("user_id", "time", "item_id")


def mark_last_target_items(interactions: pl.DataFrame) -> pl.DataFrame:
    """Of users without a role who have a target item: all up to it, the last of each target domain marked, as if it
    were held out. Who has Books alone teaches no model what follows from them."""
    newest = interactions.filter(pl.col("domain") != SOURCE).group_by("user_id").agg(until=pl.col("time").max())
    rows = interactions.join(newest, on="user_id").filter(pl.col("time") <= pl.col("until"))
    rows = rows.sort("user_id", "time", "item_id")
    last = pl.int_range(pl.len()).over("user_id", "domain") == pl.len().over("user_id", "domain") - 1
    return rows.with_columns(held_out=last & (pl.col("domain") != SOURCE)).select(*SPLIT_INTERACTIONS.columns)


def counts(dataset: Dataset) -> dict[str, object]:
    """How many records each role has by type, for the metrics."""
    one_set = next(iter(dataset.records.values()))
    by_type = {role: dict(sorted(records["user_type"].value_counts().iter_rows())) for role, records in one_set.items()}
    seen = {
        role: {d: rows.filter(pl.col("domain") == d).height for d in (SOURCE, *TARGETS)}
        for role, rows in dataset.interactions.items()
    }
    return {"records": by_type, "interactions": seen}


def _cases(interactions: pl.DataFrame, members: dict[str, dict[str, list[str]]], role: str) -> list[Case]:
    return [
        case for kind, groups in members.items() for case in hold_out_last(interactions, USER_TYPES[kind], groups[role])
    ]
