"""Records: a held-out target interaction with the history before it and the candidates to rank."""

import hashlib
from dataclasses import dataclass

import polars as pl
from tqdm import tqdm

from kitrec.core.domains import Domains, UserType
from kitrec.core.errors import InputError
from kitrec.core.tables import from_rows
from kitrec.preprocessing.candidates import CandidatePool, build_pool, draw_candidates
from kitrec.preprocessing.params import Candidates
from kitrec.schemas.records import RECORDS


@dataclass(frozen=True)
class HeldOutCase:
    """A user's last target interaction and the history before it, oldest first; `items` are all items of the user."""

    user: str
    user_type: UserType
    core: int
    source: list[tuple[str, float]]
    target: list[tuple[str, float]]
    gt: tuple[str, float, int]
    items: set[str]


def hold_out_last(interactions: pl.DataFrame, user_type: UserType, users: list[str]) -> list[HeldOutCase]:
    """Hold out the last target interaction of each user of a type; histories end before its time (leave-one-out)."""
    selected = interactions.filter(pl.col("user_id").is_in(pl.Series(users).implode()))
    ordered = selected.sort("user_id", "time", "item_id")
    grouped = ordered.group_by("user_id", maintain_order=True).agg("domain", "item_id", "rating", "time")
    by_user = {user: list(zip(*columns, strict=True)) for user, *columns in grouped.iter_rows()}
    return [_case(user, user_type, by_user[user]) for user in users]


def _case(user: str, user_type: UserType, rows: list[tuple[str, str, float, int]]) -> HeldOutCase:
    target = [(item, rating, time) for domain, item, rating, time in rows if domain == user_type.target]
    gt = target[-1]
    source = [(item, rating) for domain, item, rating, time in rows if domain == user_type.source and time < gt[2]]
    history = [(item, rating) for item, rating, time in target if time < gt[2]]
    if not source or len(history) != len(target) - 1:
        raise InputError(f"{user}: the last {user_type.target} item cannot be held out; such users must not be sampled")
    return HeldOutCase(user, user_type, len(target), source, history, gt, {item for _, item, _, _ in rows})


def history_pairs(cases: list[HeldOutCase]) -> pl.DataFrame:
    """Return the distinct (user, item) pairs of the cases' histories."""
    rows = [(c.user, item) for c in cases for item, _ in [*c.source, *c.target]]
    return pl.DataFrame(rows, schema={"user_id": pl.String, "item_id": pl.String}, orient="row").unique(
        maintain_order=True
    )


def build_pools(seed: int, domains: Domains, items: pl.DataFrame, history: pl.DataFrame) -> dict[str, CandidatePool]:
    """Build a candidate pool per target from the training users' histories alone."""
    return {target: build_pool(seed, items, target, history) for target in domains.targets}


def build_records(
    seed: int,
    candidates: Candidates,
    pools: dict[str, CandidatePool],
    items: pl.DataFrame,
    cases: list[HeldOutCase],
    candidate_set: str,
    *,
    quiet: bool,
) -> pl.DataFrame:
    """Build the records of the cases for one candidate set, without outputs."""
    has_metadata = dict(items.select("item_id", "has_metadata").iter_rows())
    rows = []
    for case in tqdm(cases, desc=f"candidates of set {candidate_set}", disable=quiet):
        history = [item for item, _ in [*case.source, *case.target]]
        pool = pools[case.user_type.target]
        gt = case.gt[0]
        ids, origins = draw_candidates(seed, candidates, pool, candidate_set, case.user, gt, case.items, history)
        rows.append(_row(case, candidate_set, ids, origins, has_metadata[gt]))
    return from_rows(rows, RECORDS)


def _row(
    case: HeldOutCase, candidate_set: str, ids: list[str], origins: list[str], gt_has_metadata: bool
) -> dict[str, object]:
    return {
        "record_id": f"{case.user}:{case.user_type.target}:{candidate_set}",
        "user_id": case.user,
        "target": case.user_type.target,
        "candidate_set": candidate_set,
        "user_type": case.user_type.name,
        "user_category": case.user_type.category,
        "core": case.core,
        "source_items": [item for item, _ in case.source],
        "source_ratings": [rating for _, rating in case.source],
        "target_items": [item for item, _ in case.target],
        "target_ratings": [rating for _, rating in case.target],
        "candidate_ids": ids,
        "candidate_origins": origins,
        "gt_item_id": case.gt[0],
        "gt_rating": case.gt[1],
        "gt_time": case.gt[2],
        "gt_has_metadata": gt_has_metadata,
        "output": None,
        "candidate_hash": hashlib.sha256("\n".join(ids).encode()).hexdigest()[:16],
    }
