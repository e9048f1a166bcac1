"""A whole synthetic world from one seed: items, users, interactions, and the truth behind them."""

from dataclasses import dataclass

import polars as pl

from kitrec.core.domains import LABELS, USER_TYPES
from kitrec.core.randomness import generator
from kitrec.synthetic.histories import USER_TRUTH, draw_interactions, draw_people
from kitrec.synthetic.items import draw_catalogue
from kitrec.synthetic.params import World
from kitrec.synthetic.themes import ThemeWords, draw_themes


@dataclass(frozen=True)
class SyntheticWorld:
    """What the real data would show (items, interactions), and what only the generator knows (the rest)."""

    items: pl.DataFrame
    interactions: pl.DataFrame
    themes: ThemeWords
    item_truth: pl.DataFrame
    user_truth: pl.DataFrame


def build_world(seed: int, world: World, users_per_type: int, *, rehearsal: bool = False) -> SyntheticWorld:
    """The world of a seed, with as many users of each of the ten types as asked for."""
    themes = draw_themes(generator(seed, "themes"), world.themes, rehearsal=rehearsal)
    catalogue = draw_catalogue(seed, world, themes, rehearsal=rehearsal)
    interactions, truths = [], []
    for kind in USER_TYPES.values():
        people = draw_people(generator(seed, "people", kind.name), world, kind, users_per_type)
        interactions.append(draw_interactions(seed, world, kind, people, catalogue))
        truth = {"user_id": people.ids, "favourites": people.favourites.tolist(), "community": people.community}
        truths.append(pl.DataFrame(truth, schema=dict(USER_TRUTH.columns)))
    return SyntheticWorld(
        items=pl.concat([catalogue[domain].text for domain in LABELS]),
        interactions=pl.concat(interactions),
        themes=themes,
        item_truth=pl.concat([catalogue[domain].truth for domain in LABELS]),
        user_truth=pl.concat(truths),
    )
