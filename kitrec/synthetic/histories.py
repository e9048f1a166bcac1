"""Users and what they choose. A choice of user u at time t among items i of a domain is drawn by a multinomial logit:

    U(u, i, t) = theme_strength * |favourites_u ∩ themes_i|  + community_strength * [community_u = community_i]
               + popularity_strength * log_popularity_i      - recency_strength * years since release of i
    P(i | u, t) ∝ exp U   over released items not chosen before (Gumbel-max: arg max of U + Gumbel noise)

Shapes: N users, M items of the domain, L choices."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from kitrec.core.domains import LABELS, SOURCE, USER_TYPES, UserType
from kitrec.core.errors import InputError
from kitrec.core.randomness import generator
from kitrec.core.tables import Table
from kitrec.schemas.interactions import INTERACTIONS
from kitrec.synthetic.items import LAST_YEAR, YEAR_MS, Catalogue, year_start
from kitrec.synthetic.params import World

USER_TRUTH = Table(
    "user_truth",
    {"user_id": pl.String, "favourites": pl.List(pl.Int32), "community": pl.Int32},
    key=("user_id",),
)

LATE = 0.85  # every last target interaction falls into the last 15 % of a user's years, all counted books before it


@dataclass(frozen=True)
class People:
    """Users of one type: favourites [N, F], community [N], active years [N, 2] in ms."""

    ids: list[str]
    favourites: np.ndarray
    community: np.ndarray
    active: np.ndarray


def draw_people(rng: np.random.Generator, world: World, kind: UserType, count: int) -> People:
    """Users with their tastes, drawn independently of their type."""
    start = year_start(2008) + (rng.random(count) * 8 * YEAR_MS).astype(np.int64)
    span = (3 + 4 * rng.random(count)) * YEAR_MS
    return People(
        [f"U{list(USER_TYPES).index(kind.name):02d}{k:06d}" for k in range(count)],
        np.argsort(rng.random((count, world.themes)), axis=1)[:, : world.favourites].astype(np.int32),
        rng.integers(world.communities, size=count, dtype=np.int32),
        np.stack([start, np.minimum(start + span.astype(np.int64), year_start(LAST_YEAR))], axis=1),
    )


def draw_interactions(
    seed: int, world: World, kind: UserType, people: People, items: dict[str, Catalogue]
) -> pl.DataFrame:
    """All interactions of the users of one type, in every domain."""
    parts = []
    for domain in LABELS:
        rng = generator(seed, "interactions", kind.name, domain)
        times = _draw_times(
            rng, people, *_counts(rng, world, kind, domain, len(people.ids)), last_is_late=domain != SOURCE
        )
        chosen, ratings = _choose(rng, world, people, items[domain].truth, times)
        who, step = np.nonzero(chosen >= 0)
        ids = items[domain].truth["item_id"].to_numpy()
        columns = {
            "user_id": np.array(people.ids)[who],
            "domain": np.full(len(who), domain),
            "item_id": ids[chosen[who, step]],
            "rating": ratings[who, step],
            "time": times[who, step],
        }
        parts.append(pl.DataFrame(columns, schema=dict(INTERACTIONS.columns)))
    return pl.concat(parts).sort("user_id", "time", "item_id")


def _counts(
    rng: np.random.Generator, world: World, kind: UserType, domain: str, n: int
) -> tuple[np.ndarray, np.ndarray]:
    """Per user: interactions up to the held-out one, and (books only) a few read after it."""
    none = np.zeros(n, dtype=np.int64)
    if domain == SOURCE:
        return 5 + rng.poisson(world.mean_books_per_user - 5, n), rng.integers(0, 2, n)
    if domain == kind.target:
        most = kind.min_target_items if kind.max_target_items else None
        return (none + most if most else 5 + rng.poisson(world.mean_target_items_per_user - 5, n)), none
    return (none if kind.other_target_empty else rng.integers(0, 9, n)), none


def _draw_times(
    rng: np.random.Generator, people: People, before: np.ndarray, after: np.ndarray, *, last_is_late: bool
) -> np.ndarray:
    """Times [N, L], ascending, -1 where a user has fewer."""
    length = int((before + after).max(initial=0))
    step = np.arange(length)[None, :]
    share = np.sort(np.where(step < before[:, None], rng.random((len(before), length)) * LATE, 2.0), axis=1)
    late = LATE + (1 - LATE) * np.sort(rng.random((len(before), length)), axis=1)
    is_late = (step >= before[:, None]) | (last_is_late & (step == before[:, None] - 1))
    share = np.where(is_late, late, share)
    times = people.active[:, :1] + (share * (people.active[:, 1:] - people.active[:, :1])).astype(np.int64)
    return np.where(step < (before + after)[:, None], times, -1)


def static_utility(world: World, favourites: np.ndarray, community: np.ndarray, truth: pl.DataFrame) -> np.ndarray:
    """The part of U(u, i, t) that no time changes, [N, M]."""
    same_community = community[:, None] == truth["community"].to_numpy()[None, :]
    return (
        world.theme_strength * theme_matches(favourites, truth)
        + world.community_strength * same_community
        + world.popularity_strength * truth["log_popularity"].to_numpy()[None, :]
    )


def utility_at(world: World, static_utility: np.ndarray, truth: pl.DataFrame, time: np.ndarray) -> np.ndarray:
    """U(u, i, t) [N, M]; minus infinity for items not released at t."""
    age = (time[:, None] - truth["release"].to_numpy()[None, :]) / YEAR_MS
    return np.where(age >= 0, static_utility - world.recency_strength * age, -np.inf)


def theme_matches(favourites: np.ndarray, truth: pl.DataFrame) -> np.ndarray:
    """|favourites_u ∩ themes_i| as [N, M]."""
    themes = np.array(truth["themes"].to_list())
    return sum((favourites[:, :, None] == themes[None, None, :, slot]).any(axis=1).astype(np.int64) for slot in (0, 1))


def _choose(
    rng: np.random.Generator, world: World, people: People, truth: pl.DataFrame, times: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Item indices [N, L] (-1 where there is no choice) and the ratings given to them."""
    fixed = static_utility(world, people.favourites, people.community, truth)
    chosen = np.full(times.shape, -1)
    taken = np.zeros(fixed.shape, dtype=bool)
    for step in range(times.shape[1]):
        here = times[:, step] >= 0
        value = np.where(taken, -np.inf, utility_at(world, fixed, truth, times[:, step]) + rng.gumbel(size=fixed.shape))
        best = value.argmax(axis=1)
        if not np.isfinite(value.max(axis=1)[here]).all():
            raise InputError(
                "a user found no released item left to choose: raise world.books, world.movies, world.music"
            )
        chosen[here, step] = best[here]
        taken[here, best[here]] = True
    return chosen, _rate(rng, people, truth, chosen)


def _rate(rng: np.random.Generator, people: People, truth: pl.DataFrame, chosen: np.ndarray) -> np.ndarray:
    """Stars 1-5: higher for items that fit the taste and for good ones."""
    match = np.take_along_axis(theme_matches(people.favourites, truth), np.maximum(chosen, 0), axis=1)
    quality = truth["quality"].to_numpy()[np.maximum(chosen, 0)]
    return np.clip(np.round(3.0 + 0.6 * match + 0.4 * quality + 0.6 * rng.normal(size=chosen.shape)), 1, 5)
