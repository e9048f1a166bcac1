"""Public data of the cross-domain table: two domains with common users, one held-out item per domain.

Items of both domains get numbers of one catalogue, the first domain's first; users are rows. The last training item of
a tenth of the users is the validation in each domain (where they have more than one there), the held-out one the
test."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from bench.public_data import folder
from kitrec.core.errors import InputError
from kitrec.core.randomness import generator
from kitrec.recommenders.data.cross_domain_batches import UserHistories
from kitrec.recommenders.data.item_domains import ItemDomains, NegativeSampler
from kitrec.recommenders.data.sequences import Sequences, sequences_from_rows
from kitrec.recommenders.ranking.within_domain import Validation

NEGATIVES, VALIDATED = 99, 0.1


@dataclass(frozen=True)
class Pair:
    """Two domains and their splits; `before_test` is `train` with the validation items."""

    names: tuple[str, str]
    ids: list[str]  # of items 1 ... N
    item_domains: ItemDomains
    train: Sequences
    validation: np.ndarray
    before_test: Sequences
    test: np.ndarray
    warm: np.ndarray  # [users, 2] whether training (with the validation items) knows the held-out item
    touched: Sequences  # every item a user ever had, whatever is cut: never a negative


def sport_cloth() -> Pair:
    """Read amazon_sport_cloth with its own held-out items from test.tsv."""
    root = folder("amazon_sport_cloth")
    parts = []
    for side, name in enumerate(("sport", "cloth")):
        for kind in ("train", "test"):
            table = _read(root / name / f"{kind}.tsv")
            parts.append(table.with_columns(side=pl.lit(side), held_out=pl.lit(kind == "test")))
    return build_pair(("sport", "cloth"), pl.concat(parts))


def douban() -> Pair:
    """Read the common users of douban_book and douban_music; each user's last row of a domain is held out."""
    parts = []
    for side, name in enumerate(("douban_book", "douban_music")):
        table = _read(folder(name) / "interactions.tsv").sort("user", "time", maintain_order=True)
        last = pl.int_range(pl.len()).over("user") == pl.len().over("user") - 1
        parts.append(table.with_columns(side=pl.lit(side), held_out=last))
    rows = pl.concat(parts)
    both = rows.group_by("user").agg(pl.col("side").n_unique()).filter(pl.col("side") == 2)
    return build_pair(("book", "music"), rows.join(both.select("user"), on="user", how="semi"))


def art_office() -> Pair:
    """Read amazon_art_office_urllm: target items are held out, one per domain; an item's number gives its domain."""
    root, first_office = folder("amazon_art_office_urllm"), 18639  # Art has the item numbers below
    history = _read(root / "interactions.tsv").with_columns(held_out=pl.lit(value=False))
    targets = pl.read_csv(root / "targets.tsv", separator="\t", infer_schema=False).unpivot(
        ["target_1", "target_2"], index="user", value_name="item"
    )
    held = targets.select("user", "item", time=pl.lit(10**9, dtype=pl.Int64), held_out=pl.lit(value=True))
    rows = pl.concat([history, held]).with_columns(side=(pl.col("item").cast(pl.Int64) >= first_office).cast(pl.Int32))
    return build_pair(("art", "office"), rows.unique(["user", "side", "held_out", "item"], maintain_order=True))


PAIRS = {"amazon_sport_cloth": sport_cloth, "douban": douban, "amazon_art_office_urllm": art_office}


def held_out(pair: Pair, side: int, *, test: bool, seed: int = 0) -> tuple[np.ndarray, Validation]:
    """Return the users with a held-out item on a side, and each item against 99 that its user never had."""
    items = (pair.test if test else pair.validation)[:, side]
    rows = np.flatnonzero(items > 0)
    histories = pair.before_test if test else pair.train
    everything = NegativeSampler(pair.touched, pair.item_domains)
    drawn = everything.sample(generator(seed, "1+99", side, int(test)), rows, items[rows], NEGATIVES)
    return rows, Validation(UserHistories(histories, np.arange(len(histories))).take(rows), items[rows], drawn)


def cut(
    pair: Pair, side: int, cores: tuple[int, ...], share: float, seed: int, turn: int = 0
) -> tuple[Pair, dict[int, np.ndarray]]:
    """Cut a share of the users per core, each user once, to that many ratings of a side, the held-out one included.

    Return the shortened pair and the users of each core. All are drawn from the users with enough ratings for any core;
    in the next turn each share takes the next core."""
    whole = pair.before_test
    ratings = np.bincount(whole.users[pair.item_domains.sides[whole.items] == side], minlength=len(whole))
    able = generator(seed, "cold", side).permutation(np.flatnonzero(ratings >= max(cores) - 1))
    count = int(share * len(whole))
    if len(able) < count * len(cores):
        raise InputError(
            f"only {len(able)} users have {max(cores)} ratings of {pair.names[side]}: take a smaller share"
        )
    shares = [np.sort(able[at * count : (at + 1) * count]) for at in range(len(cores))]
    groups = {core: shares[(at + turn) % len(cores)] for at, core in enumerate(cores)}
    most = np.full(len(whole), np.iinfo(np.int64).max)
    for core, users in groups.items():
        most[users] = core - 1
    train, before = (_shortened(part, pair.item_domains, side, most) for part in (pair.train, pair.before_test))
    validation = pair.validation.copy()
    validation[np.concatenate([*groups.values()]), side] = 0
    kept = Pair(pair.names, pair.ids, pair.item_domains, train, validation, before, pair.test, pair.warm, pair.touched)
    return kept, groups


def _shortened(sequences: Sequences, item_domains: ItemDomains, side: int, most: np.ndarray) -> Sequences:
    """Keep each user's first items of a side, as many as `most` [users] says."""
    where = np.flatnonzero(item_domains.sides[sequences.items] == side)
    users = sequences.users[where]
    position = np.arange(len(where)) - np.searchsorted(users, users)
    kept = np.delete(np.arange(len(sequences.items)), where[position >= most[users]])
    return sequences_from_rows(sequences.users[kept], sequences.items[kept], len(sequences))


def _read(path: object) -> pl.DataFrame:
    table = pl.read_csv(str(path), separator="\t", infer_schema=False)
    return table.select("user", "item", time=pl.col("time").cast(pl.Int64))


def build_pair(names: tuple[str, str], rows: pl.DataFrame) -> Pair:
    """Number items and users of rows (side, user, item, time, held_out) and split them."""
    items = rows.select("side", "item").unique().sort("side", "item").with_row_index("number", offset=1)
    users = rows.select("user").unique().sort("user").with_row_index("row")
    rows = rows.join(items, on=["side", "item"]).join(users, on="user").sort("row", "held_out", "time", "number")
    count = users.height
    test = np.zeros((count, 2), dtype=np.int64)
    before_held = rows.filter(~pl.col("held_out")).select(
        "row", "number"
    )  # an item the user had before is not held out
    held = rows.filter("held_out").join(before_held, on=["row", "number"], how="anti", maintain_order="left")
    held = held.unique(["row", "side"], keep="first", maintain_order=True)
    test[held["row"], held["side"]] = held["number"]
    history = rows.filter(~pl.col("held_out"))
    before = sequences_from_rows(history["row"].to_numpy(), history["number"].to_numpy(), count)
    position = pl.int_range(pl.len()).over("row", "side")
    validation_users = np.flatnonzero(generator(0, "validation users").random(count) < VALIDATED)
    last = position == pl.len().over("row", "side") - 1
    last = last & (position > 0) & pl.col("row").is_in(validation_users.tolist())
    history = history.with_columns(last=last)
    validation = np.zeros((count, 2), dtype=np.int64)
    validated = history.filter("last")
    validation[validated["row"], validated["side"]] = validated["number"]
    trained = history.filter(~pl.col("last"))
    train = sequences_from_rows(trained["row"].to_numpy(), trained["number"].to_numpy(), count)
    item_domains = ItemDomains(np.concatenate([[0], items["side"].to_numpy() + 1]).astype(np.int64))
    if not test.any():
        raise InputError(f"{names[0]} and {names[1]} have no user with a held-out item")
    warm = np.isin(test, before.items) & (test > 0)
    touched = sequences_from_rows(rows["row"].to_numpy(), rows["number"].to_numpy(), count)
    return Pair(names, items["item"].to_list(), item_domains, train, validation, before, test, warm, touched)
