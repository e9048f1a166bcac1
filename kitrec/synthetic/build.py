"""A complete synthetic world from one seed: items, users, interactions, and the latent variables behind them."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from kitrec.core import files, tables
from kitrec.core.domains import KITREC
from kitrec.core.randomness import generator
from kitrec.synthetic.histories import USER_TRUTH, draw_interactions, draw_users
from kitrec.synthetic.items import ITEM_TRUTH, draw_items
from kitrec.synthetic.params import World
from kitrec.synthetic.vocabulary import ThemeWords, draw_themes


@dataclass(frozen=True)
class SyntheticWorld:
    """Observable data (items, interactions) and latent variables known to the generator alone (the other fields)."""

    items: pl.DataFrame
    interactions: pl.DataFrame
    themes: ThemeWords
    item_truth: pl.DataFrame
    user_truth: pl.DataFrame


def build_world(seed: int, world: World, users_per_type: int, *, rehearsal: bool = False) -> SyntheticWorld:
    """Draw the world of a seed, with `users_per_type` users of each of the ten types."""
    themes = draw_themes(generator(seed, "themes"), world.themes, rehearsal=rehearsal)
    items = draw_items(seed, world, themes, rehearsal=rehearsal)
    interactions, user_truth = [], []
    for user_type in KITREC.user_types.values():
        users = draw_users(generator(seed, "people", user_type.name), world, user_type, users_per_type)
        interactions.append(draw_interactions(seed, world, user_type, users, items))
        columns = {"user_id": users.ids, "favourites": users.favourites.tolist(), "community": users.community}
        user_truth.append(pl.DataFrame(columns, schema=dict(USER_TRUTH.columns)))
    return SyntheticWorld(
        items=pl.concat([items[domain].text for domain in KITREC.names]),
        interactions=pl.concat(interactions),
        themes=themes,
        item_truth=pl.concat([items[domain].latents for domain in KITREC.names]),
        user_truth=pl.concat(user_truth),
    )


def write_world(world: SyntheticWorld | None, folder: Path) -> None:
    """Write the latent variables for reference rankers and the oracle teacher; real data have an empty map only."""
    with files.atomic(folder) as draft:
        files.write_json(world.themes if world else {}, draft / "themes.json")
        if world:
            tables.write(world.item_truth, draft / "item_truth.parquet", ITEM_TRUTH)
            tables.write(world.user_truth, draft / "user_truth.parquet", USER_TRUTH)
