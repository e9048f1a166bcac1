"""Users and their choices. The choice of user u at time t among items i of a domain is drawn by a multinomial logit:

    U(u, i, t) = theme_strength * |favourites_u ∩ themes_i|  + community_strength * [community_u = community_i]
               + popularity_strength * log_popularity_i      - recency_strength * years since release of i
    P(i | u, t) ∝ exp U   over released items not chosen before (Gumbel-max: arg max of U + Gumbel noise)

Shapes: N users, M items of the domain, L choices."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from kitrec.core.domains import KITREC, UserType
from kitrec.core.errors import InputError
from kitrec.core.randomness import generator
from kitrec.core.tables import Table
from kitrec.schemas.interactions import INTERACTIONS
from kitrec.synthetic.items import LAST_YEAR, YEAR_MS, DomainItems, year_start
from kitrec.synthetic.params import World

USER_TRUTH = Table(
    "user_truth",
    {"user_id": pl.String, "favourites": pl.List(pl.Int32), "community": pl.Int32},
    key=("user_id",),
)

# Every last target interaction falls into the last 15 % of a user's active years, after all counted books.
LAST_TARGET_SHARE = 0.85


@dataclass(frozen=True)
class SyntheticUsers:
    """Users of one type: favourites [N, F], community [N], active years [N, 2] in ms."""

    ids: list[str]
    favourites: np.ndarray
    community: np.ndarray
    active: np.ndarray


def draw_users(rng: np.random.Generator, world: World, user_type: UserType, count: int) -> SyntheticUsers:
    """Draw users with their tastes, independently of their type."""
    start = year_start(2008) + (rng.random(count) * 8 * YEAR_MS).astype(np.int64)
    span = (3 + 4 * rng.random(count)) * YEAR_MS
    return SyntheticUsers(
        [f"U{list(KITREC.user_types).index(user_type.name):02d}{k:06d}" for k in range(count)],
        np.argsort(rng.random((count, world.themes)), axis=1)[:, : world.favourites].astype(np.int32),
        rng.integers(world.communities, size=count, dtype=np.int32),
        np.stack([start, np.minimum(start + span.astype(np.int64), year_start(LAST_YEAR))], axis=1),
    )


def draw_interactions(
    seed: int, world: World, user_type: UserType, users: SyntheticUsers, items: dict[str, DomainItems]
) -> pl.DataFrame:
    """Draw all interactions of the users of one type, in every domain."""
    parts = []
    for domain in KITREC.names:
        rng = generator(seed, "interactions", user_type.name, domain)
        counts = _draw_counts(rng, world, user_type, domain, len(users.ids))
        times = _draw_times(rng, users, *counts, last_is_late=domain != KITREC.source)
        chosen, ratings = draw_choices(rng, world, users, items[domain].latents, times)
        user, step = np.nonzero(chosen >= 0)
        ids = items[domain].latents["item_id"].to_numpy()
        columns = {
            "user_id": np.array(users.ids)[user],
            "domain": np.full(len(user), domain),
            "item_id": ids[chosen[user, step]],
            "rating": ratings[user, step],
            "time": times[user, step],
        }
        parts.append(pl.DataFrame(columns, schema=dict(INTERACTIONS.columns)))
    return pl.concat(parts).sort("user_id", "time", "item_id")


def _draw_counts(
    rng: np.random.Generator, world: World, user_type: UserType, domain: str, n: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return per user the interactions up to the held-out one, and (books only) those after it."""
    zeros = np.zeros(n, dtype=np.int64)
    if domain == KITREC.source:
        return 5 + rng.poisson(world.mean_books_per_user - 5, n), rng.integers(0, 2, n)
    if domain == user_type.target:
        if user_type.max_target_items:
            return zeros + user_type.min_target_items, zeros
        return 5 + rng.poisson(world.mean_target_items_per_user - 5, n), zeros
    return (zeros if user_type.other_target_empty else rng.integers(0, 9, n)), zeros


def _draw_times(
    rng: np.random.Generator, users: SyntheticUsers, before: np.ndarray, after: np.ndarray, *, last_is_late: bool
) -> np.ndarray:
    """Draw times [N, L], ascending, -1 beyond a user's number of interactions."""
    length = int((before + after).max(initial=0))
    step = np.arange(length)[None, :]
    share = np.sort(
        np.where(step < before[:, None], rng.random((len(before), length)) * LAST_TARGET_SHARE, 2.0), axis=1
    )
    late_share = LAST_TARGET_SHARE + (1 - LAST_TARGET_SHARE) * np.sort(rng.random((len(before), length)), axis=1)
    is_late = (step >= before[:, None]) | (last_is_late & (step == before[:, None] - 1))
    share = np.where(is_late, late_share, share)
    times = users.active[:, :1] + (share * (users.active[:, 1:] - users.active[:, :1])).astype(np.int64)
    return np.where(step < (before + after)[:, None], times, -1)


def static_utility(world: World, favourites: np.ndarray, community: np.ndarray, latents: pl.DataFrame) -> np.ndarray:
    """Return the time-independent part of U(u, i, t), [N, M]."""
    same_community = community[:, None] == latents["community"].to_numpy()[None, :]
    return (
        world.theme_strength * theme_matches(favourites, latents)
        + world.community_strength * same_community
        + world.popularity_strength * latents["log_popularity"].to_numpy()[None, :]
    )


def utility_at(world: World, static: np.ndarray, latents: pl.DataFrame, time: np.ndarray) -> np.ndarray:
    """Return U(u, i, t) [N, M]; minus infinity for items not yet released at t."""
    age = (time[:, None] - latents["release"].to_numpy()[None, :]) / YEAR_MS
    return np.where(age >= 0, static - world.recency_strength * age, -np.inf)


def theme_matches(favourites: np.ndarray, latents: pl.DataFrame) -> np.ndarray:
    """Return |favourites_u ∩ themes_i| as [N, M]."""
    themes = np.array(latents["themes"].to_list())
    return sum((favourites[:, :, None] == themes[None, None, :, slot]).any(axis=1).astype(np.int64) for slot in (0, 1))


def draw_choices(
    rng: np.random.Generator, world: World, users: SyntheticUsers, latents: pl.DataFrame, times: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Draw item indices [N, L] (-1 beyond a user's choices) by the multinomial logit, and their ratings."""
    static = static_utility(world, users.favourites, users.community, latents)
    chosen = np.full(times.shape, -1)
    taken = np.zeros(static.shape, dtype=bool)
    for step in range(times.shape[1]):
        active = times[:, step] >= 0
        value = np.where(
            taken, -np.inf, utility_at(world, static, latents, times[:, step]) + rng.gumbel(size=static.shape)
        )
        best = value.argmax(axis=1)
        if not np.isfinite(value.max(axis=1)[active]).all():
            raise InputError("a user has no released item left to choose: raise world.books, world.movies, world.music")
        chosen[active, step] = best[active]
        taken[active, best[active]] = True
    return chosen, _draw_ratings(rng, users, latents, chosen)


def _draw_ratings(
    rng: np.random.Generator, users: SyntheticUsers, latents: pl.DataFrame, chosen: np.ndarray
) -> np.ndarray:
    """Draw ratings from 1 to 5, higher for items that match the taste and for items of high quality."""
    match = np.take_along_axis(theme_matches(users.favourites, latents), np.maximum(chosen, 0), axis=1)
    quality = latents["quality"].to_numpy()[np.maximum(chosen, 0)]
    return np.clip(np.round(3.0 + 0.6 * match + 0.4 * quality + 0.6 * rng.normal(size=chosen.shape)), 1, 5)
