"""From items and interactions to the training and test data of the pipeline, for both candidate sets at once."""

from dataclasses import dataclass, replace

import polars as pl

from kitrec.core.domains import Domains
from kitrec.preprocessing.params import Candidates
from kitrec.preprocessing.records import HeldOutCase, build_pools, build_records, history_pairs, hold_out_last
from kitrec.preprocessing.users import UserGroups, split_training
from kitrec.schemas.interactions import SPLIT_INTERACTIONS

ROLES = ("train", "development", "preference", "test")


@dataclass(frozen=True)
class Dataset:
    """Records by candidate set and role, interactions for ID models by role, and the (user, item) pairs of training
    and development users' histories (of own tables also of users without a role), the only ones that negatives are
    mined from."""

    records: dict[str, dict[str, pl.DataFrame]]
    interactions: dict[str, pl.DataFrame]
    training_history: pl.DataFrame


def build_dataset(
    seed: int,
    domains: Domains,
    roles: UserGroups,
    development_share: float,
    candidates: Candidates,
    items: pl.DataFrame,
    interactions: pl.DataFrame,
    sets: tuple[str, ...],
    *,
    removed: pl.DataFrame | None = None,
    history_of_others: pl.DataFrame | None = None,
    quiet: bool = True,
) -> Dataset:
    """Hold out the last target interaction of the sampled users and draw candidates; all sets have the same users.

    Nothing shows the `removed` (user_id, item_id), but no user gets them as negatives. `history_of_others`, such pairs
    of users without a role, count where negatives are mined."""
    no_pairs = pl.DataFrame(schema={"user_id": pl.String, "item_id": pl.String})
    removed = no_pairs if removed is None else removed
    kept = interactions.join(removed, on=["user_id", "item_id"], how="anti", maintain_order="left")
    split = split_training(seed, {user_type: groups["train"] for user_type, groups in roles.items()}, development_share)
    members = {user_type: {**roles[user_type], **split[user_type]} for user_type in roles}
    cases = {role: _with_items(_held_out_cases(kept, domains, members, role), removed) for role in ROLES}
    training_history = history_pairs([*cases["train"], *cases["development"]])
    training_history = pl.concat([training_history, no_pairs if history_of_others is None else history_of_others])
    pools = build_pools(seed, domains, items, training_history)
    records = {
        candidate_set: {
            role: build_records(seed, candidates, pools, items, cases[role], candidate_set, quiet=quiet)
            for role in ROLES
        }
        for candidate_set in sets
    }
    by_role = {role: split_interactions(kept, domains.source, cases[role]) for role in ROLES}
    return Dataset(records, by_role, training_history)


def by_model(records: pl.DataFrame, domains: Domains) -> dict[str, pl.DataFrame]:
    """Split the records by fine-tuned model, according to the user types each model serves."""
    return {model: records.filter(pl.col("user_type").is_in(domains.types_of(model))) for model in domains.models}


def split_interactions(interactions: pl.DataFrame, source: str, cases: list[HeldOutCase]) -> pl.DataFrame:
    """Return the cases' histories with times, their held-out items marked: the information that the LLM gets."""
    rows = [(c.user, c.user_type.target, c.gt[0], c.gt[2]) for c in cases]
    schema = {"user_id": pl.String, "target": pl.String, "gt_item_id": pl.String, "gt_time": pl.Int64}
    held_out = pl.DataFrame(rows, schema=schema, orient="row")
    last = held_out.group_by("user_id").agg(pl.col("gt_time").max().alias("until"))
    targets = interactions.join(held_out, left_on=["user_id", "domain"], right_on=["user_id", "target"]).filter(
        pl.col("time") <= pl.col("gt_time")
    )
    before = (
        interactions.filter(pl.col("domain") == source)
        .join(last, on="user_id")
        .filter(pl.col("time") < pl.col("until"))
    )
    marked = [
        targets.with_columns(held_out=pl.col("item_id") == pl.col("gt_item_id")),
        before.with_columns(held_out=pl.lit(False)),
    ]
    return pl.concat([part.select(*SPLIT_INTERACTIONS.columns) for part in marked]).sort("user_id", "time", "item_id")


def mark_last_target_items(interactions: pl.DataFrame, source: str) -> pl.DataFrame:
    """Return the interactions of users without a role up to their last target item; the last item of each target domain
    is marked as held out. Users without target interactions provide no next-item targets and are left out."""
    newest = interactions.filter(pl.col("domain") != source).group_by("user_id").agg(until=pl.col("time").max())
    rows = interactions.join(newest, on="user_id").filter(pl.col("time") <= pl.col("until"))
    rows = rows.sort("user_id", "time", "item_id")
    last = pl.int_range(pl.len()).over("user_id", "domain") == pl.len().over("user_id", "domain") - 1
    return rows.with_columns(held_out=last & (pl.col("domain") != source)).select(*SPLIT_INTERACTIONS.columns)


def count_rows(dataset: Dataset, domains: Domains) -> dict[str, object]:
    """Count records by role and user type, and interactions by role and domain, for the metrics."""
    first_set = next(iter(dataset.records.values()))
    by_type = {
        role: dict(sorted(records["user_type"].value_counts().iter_rows())) for role, records in first_set.items()
    }
    interactions = {
        role: {d: rows.filter(pl.col("domain") == d).height for d in domains.names}
        for role, rows in dataset.interactions.items()
    }
    return {"records": by_type, "interactions": interactions}


def _held_out_cases(
    interactions: pl.DataFrame, domains: Domains, members: dict[str, dict[str, list[str]]], role: str
) -> list[HeldOutCase]:
    return [
        case
        for user_type, groups in members.items()
        for case in hold_out_last(interactions, domains.user_types[user_type], groups[role])
    ]


def _with_items(cases: list[HeldOutCase], removed: pl.DataFrame) -> list[HeldOutCase]:
    """Return the cases with the removed items among those of their user, which are no negatives."""
    items = dict(removed.group_by("user_id").agg("item_id").iter_rows())
    return [replace(case, items=case.items.union(items.get(case.user, ()))) for case in cases]
