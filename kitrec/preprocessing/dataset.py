"""From items and interactions to the training and test data of the pipeline, for both candidate sets at once."""

from dataclasses import dataclass

import polars as pl

from kitrec.core.domains import MODELS, SOURCE, TARGETS, USER_TYPES
from kitrec.preprocessing.params import Candidates
from kitrec.preprocessing.records import HeldOutCase, build_pools, build_records, history_pairs, hold_out_last
from kitrec.preprocessing.users import UserGroups, split_training
from kitrec.schemas.interactions import SPLIT_INTERACTIONS

ROLES = ("train", "development", "preference", "test")


@dataclass(frozen=True)
class Dataset:
    """Records by candidate set and role, interactions for ID models by role, and the (user, item) pairs of training
    and development users' histories, the only ones that negatives are mined from."""

    records: dict[str, dict[str, pl.DataFrame]]
    interactions: dict[str, pl.DataFrame]
    training_history: pl.DataFrame


def build_dataset(
    seed: int,
    roles: UserGroups,
    development_share: float,
    candidates: Candidates,
    items: pl.DataFrame,
    interactions: pl.DataFrame,
    sets: tuple[str, ...],
    *,
    quiet: bool = True,
) -> Dataset:
    """Hold out the last target interaction of the sampled users and draw candidates; all sets have the same users."""
    split = split_training(seed, {user_type: groups["train"] for user_type, groups in roles.items()}, development_share)
    members = {user_type: {**roles[user_type], **split[user_type]} for user_type in roles}
    cases = {role: _held_out_cases(interactions, members, role) for role in ROLES}
    training_history = history_pairs([*cases["train"], *cases["development"]])
    pools = build_pools(seed, items, training_history)
    records = {
        candidate_set: {
            role: build_records(seed, candidates, pools, items, cases[role], candidate_set, quiet=quiet)
            for role in ROLES
        }
        for candidate_set in sets
    }
    by_role = {role: split_interactions(interactions, cases[role]) for role in ROLES}
    return Dataset(records, by_role, training_history)


def by_model(records: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Split the records by fine-tuned model, according to the user types each model serves."""
    user_types = {model: [t.name for t in USER_TYPES.values() if t.model == model] for model in MODELS}
    return {model: records.filter(pl.col("user_type").is_in(names)) for model, names in user_types.items()}


def split_interactions(interactions: pl.DataFrame, cases: list[HeldOutCase]) -> pl.DataFrame:
    """Return the cases' histories with times, their held-out items marked: the information that the LLM gets."""
    rows = [(c.user, c.user_type.target, c.gt[0], c.gt[2]) for c in cases]
    schema = {"user_id": pl.String, "target": pl.String, "gt_item_id": pl.String, "gt_time": pl.Int64}
    held_out = pl.DataFrame(rows, schema=schema, orient="row")
    last = held_out.group_by("user_id").agg(pl.col("gt_time").max().alias("until"))
    targets = interactions.join(held_out, left_on=["user_id", "domain"], right_on=["user_id", "target"]).filter(
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
    """Return the interactions of users without a role up to their last target item; the last item of each target domain
    is marked as held out. Users without target interactions provide no next-item targets and are left out."""
    newest = interactions.filter(pl.col("domain") != SOURCE).group_by("user_id").agg(until=pl.col("time").max())
    rows = interactions.join(newest, on="user_id").filter(pl.col("time") <= pl.col("until"))
    rows = rows.sort("user_id", "time", "item_id")
    last = pl.int_range(pl.len()).over("user_id", "domain") == pl.len().over("user_id", "domain") - 1
    return rows.with_columns(held_out=last & (pl.col("domain") != SOURCE)).select(*SPLIT_INTERACTIONS.columns)


def count_rows(dataset: Dataset) -> dict[str, object]:
    """Count records by role and user type, and interactions by role and domain, for the metrics."""
    first_set = next(iter(dataset.records.values()))
    by_type = {
        role: dict(sorted(records["user_type"].value_counts().iter_rows())) for role, records in first_set.items()
    }
    interactions = {
        role: {d: rows.filter(pl.col("domain") == d).height for d in (SOURCE, *TARGETS)}
        for role, rows in dataset.interactions.items()
    }
    return {"records": by_type, "interactions": interactions}


def _held_out_cases(
    interactions: pl.DataFrame, members: dict[str, dict[str, list[str]]], role: str
) -> list[HeldOutCase]:
    return [
        case
        for user_type, groups in members.items()
        for case in hold_out_last(interactions, USER_TYPES[user_type], groups[role])
    ]
