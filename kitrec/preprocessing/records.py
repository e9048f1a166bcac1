"""Records: one held-out target interaction with what was known before it and the candidates to rank."""

import hashlib
from dataclasses import dataclass

import polars as pl
from tqdm import tqdm

from kitrec.core.domains import SOURCE, TARGETS, UserType
from kitrec.core.errors import InputError
from kitrec.core.tables import from_rows
from kitrec.preprocessing.candidates import Pool, build_pool, draw_candidates
from kitrec.preprocessing.params import Candidates
from kitrec.schemas.records import RECORDS


@dataclass(frozen=True)
class Case:
    """A user's last target interaction and everything before it, oldest first."""

    user: str
    kind: UserType
    core: int
    source: list[tuple[str, float]]
    target: list[tuple[str, float]]
    gt: tuple[str, float, int]
    touched: set[str]


def hold_out_last(interactions: pl.DataFrame, kind: UserType, users: list[str]) -> list[Case]:
    """The cases of a type's users: the last target interaction held out, nothing at or after its time shown."""
    wanted = interactions.filter(pl.col("user_id").is_in(pl.Series(users).implode())).sort("user_id", "time", "item_id")
    gathered = wanted.group_by("user_id", maintain_order=True).agg("domain", "item_id", "rating", "time")
    by_user = {user: list(zip(*columns, strict=True)) for user, *columns in gathered.iter_rows()}
    return [_case(user, kind, by_user[user]) for user in users]


def _case(user: str, kind: UserType, everything: list[tuple[str, str, float, int]]) -> Case:
    target = [(item, rating, time) for domain, item, rating, time in everything if domain == kind.target]
    gt = target[-1]
    source = [(item, rating) for domain, item, rating, time in everything if domain == SOURCE and time < gt[2]]
    before = [(item, rating) for item, rating, time in target if time < gt[2]]
    if not source or len(before) != len(target) - 1:
        raise InputError(f"{user}: the last {kind.target} item cannot be held out; such users must not be sampled")
    return Case(user, kind, len(target), source, before, gt, {item for _, item, _, _ in everything})


def history_pairs(cases: list[Case]) -> pl.DataFrame:
    """What the cases' users had touched before their held-out items, each (user, item) once."""
    rows = [(c.user, item) for c in cases for item, _ in [*c.source, *c.target]]
    return pl.DataFrame(rows, schema={"user_id": pl.String, "item_id": pl.String}, orient="row").unique(
        maintain_order=True
    )


def build_pools(seed: int, items: pl.DataFrame, past: pl.DataFrame) -> dict[str, Pool]:
    """One candidate pool per target, mined in the training users' past alone."""
    return {target: build_pool(seed, items, target, past) for target in TARGETS}


def build_records(
    seed: int,
    candidates: Candidates,
    pools: dict[str, Pool],
    items: pl.DataFrame,
    cases: list[Case],
    which: str,
    *,
    quiet: bool,
) -> pl.DataFrame:
    """The records of the cases in candidate set `which`, without outputs."""
    metadata = dict(items.select("item_id", "has_metadata").iter_rows())
    rows = []
    for case in tqdm(cases, desc=f"candidates of set {which}", disable=quiet):
        history = [item for item, _ in [*case.source, *case.target]]
        pool = pools[case.kind.target]
        ids, origins = draw_candidates(seed, candidates, pool, which, case.user, case.gt[0], case.touched, history)
        rows.append(_row(case, which, ids, origins, metadata[case.gt[0]]))
    return from_rows(rows, RECORDS)


def _row(case: Case, which: str, ids: list[str], origins: list[str], gt_has_metadata: bool) -> dict[str, object]:
    return {
        "record_id": f"{case.user}:{case.kind.target}:{which}",
        "user_id": case.user,
        "target": case.kind.target,
        "candidate_set": which,
        "user_type": case.kind.name,
        "user_category": case.kind.category,
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
