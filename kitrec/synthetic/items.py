"""Items: two themes each, shown as categories; an uninformative title and mood; a community that no text reveals.

Latent variables of an item: themes, community c_i, log-popularity (Zipf), release time, quality."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from kitrec.core.domains import KITREC
from kitrec.core.randomness import generator
from kitrec.core.tables import Table
from kitrec.schemas.items import ITEMS
from kitrec.synthetic.ids import draw_ids
from kitrec.synthetic.params import World
from kitrec.synthetic.vocabulary import ADJECTIVES, MOODS, NOUNS, ThemeWords

ITEM_TRUTH = Table(
    "item_truth",
    {
        "domain": pl.String,
        "item_id": pl.String,
        "themes": pl.List(pl.Int32),
        "community": pl.Int32,
        "log_popularity": pl.Float64,
        "release": pl.Int64,
        "quality": pl.Float64,
    },
    key=("item_id",),
)

FIRST_YEAR, LAST_YEAR = 2000, 2023
YEAR_MS = 365 * 24 * 3600 * 1000


def year_start(year: float) -> int:
    """Return the start of a year as a timestamp in ms (years of 365 days from 1970: calendars do not matter here)."""
    return int((year - 1970) * YEAR_MS)


@dataclass(frozen=True)
class DomainItems:
    """Items of one domain: their text, and the latent variables that choices are drawn from."""

    text: pl.DataFrame
    latents: pl.DataFrame


def draw_items(seed: int, world: World, words: ThemeWords, *, rehearsal: bool) -> dict[str, DomainItems]:
    """Draw the items of all domains. `rehearsal` worlds (for pre-training) share no title with the others."""
    total = sum(world.items(domain) for domain in KITREC.names)
    ids = draw_ids(generator(seed, "item ids"), total)
    titles = _draw_titles(generator(seed, "titles"), total, rehearsal=rehearsal)
    items = {}
    for domain in KITREC.names:
        count = world.items(domain)
        domain_ids, ids, domain_titles, titles = ids[:count], ids[count:], titles[:count], titles[count:]
        items[domain] = _draw_domain(seed, world, words[domain], domain, domain_ids, domain_titles)
    return items


def _draw_domain(
    seed: int, world: World, words: list[str], domain: str, ids: list[str], titles: list[str]
) -> DomainItems:
    rng = generator(seed, "items", domain)
    count = len(ids)
    themes = np.argsort(rng.random((count, world.themes)), axis=1)[:, :2].astype(np.int32)
    release = year_start(FIRST_YEAR) + (rng.beta(2, 1, count) * (LAST_YEAR - FIRST_YEAR) * YEAR_MS).astype(np.int64)
    quality = rng.normal(size=count)
    latents = {
        "domain": [domain] * count,
        "item_id": ids,
        "themes": themes.tolist(),
        "community": rng.integers(world.communities, size=count, dtype=np.int32),
        "log_popularity": -np.log1p(rng.permutation(count)),
        "release": release,
        "quality": quality,
    }
    moods = rng.choice(MOODS, (count, world.description_words))
    shown = rng.random(count) >= (world.movies_without_metadata if domain == "movies" else 0.0)
    text = {
        "domain": [domain] * count,
        "item_id": ids,
        "title": [title if s else None for title, s in zip(titles, shown, strict=True)],
        "categories": [[words[a], words[b]] if s else [] for (a, b), s in zip(themes.tolist(), shown, strict=True)],
        "description": [" ".join(m) if s else None for m, s in zip(moods.tolist(), shown, strict=True)],
        "average_rating": np.clip(3.9 + 0.4 * quality, 1, 5).round(1),
        "year": (1970 + release / YEAR_MS).astype(np.int32),
        "has_metadata": shown,
    }
    return DomainItems(
        pl.DataFrame(text, schema=dict(ITEMS.columns)), pl.DataFrame(latents, schema=dict(ITEM_TRUTH.columns))
    )


def _draw_titles(rng: np.random.Generator, count: int, *, rehearsal: bool) -> list[str]:
    """Draw distinct titles `Adjective Noun`; rehearsal worlds use pairs of even index sum, all others odd ones."""
    parity = 0 if rehearsal else 1
    pairs = [(a, n) for a in range(len(ADJECTIVES)) for n in range(len(NOUNS)) if (a + n) % 2 == parity]
    rounds = -(-count // len(pairs))
    order = np.concatenate([rng.permutation(len(pairs)) for _ in range(rounds)])[:count].tolist()
    names = [f"{ADJECTIVES[pairs[i][0]].capitalize()} {NOUNS[pairs[i][1]].capitalize()}" for i in order]
    return [name if k < len(pairs) else f"{name} {k // len(pairs) + 1}" for k, name in enumerate(names)]
