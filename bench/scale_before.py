"""What `bench.scale` compares with: the code of 2026-11-29 that made a table of users by items, or a loop over rows."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import torch

from kitrec.core.randomness import generator
from kitrec.recommenders.data.packed_batches import by_length
from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.recommenders.storage import StoredModel
from kitrec.thinkrec.records import UNKNOWN, Record


def best_of_whole_tables(stored: StoredModel, histories: Sequences, k: int, chunk: int = 512) -> list[list[str]]:
    """Rank all items of 512 users at a time: a table of all scores, negated and partitioned."""
    items: list[list[str]] = [[] for _ in range(len(histories))]
    order = by_length(histories)
    for start in range(0, len(order), chunk):
        part = order[start : start + chunk]
        of_part = histories.take(part)
        table = stored.all_scores(of_part)
        table[of_part.users, of_part.items - 1] = -np.inf
        unsorted = np.argpartition(-table, k - 1, axis=1)[:, :k]
        best = np.take_along_axis(
            unsorted, np.argsort(-np.take_along_axis(table, unsorted, axis=1), axis=1, kind="stable"), axis=1
        )
        names = stored.vocabulary.ids(best.ravel() + 1)
        for row, user in enumerate(part.tolist()):
            items[user] = names[row * k : (row + 1) * k]
    return items


def sample_by_noise(rng: np.random.Generator, positives: Sequences, weights: np.ndarray, count: int) -> np.ndarray:
    """Sample negatives by Gumbel noise on all items."""
    with np.errstate(divide="ignore"):
        log_weights = np.log(weights.astype(np.float64))
    keys = log_weights + rng.gumbel(size=(len(positives), len(weights)))
    keys[positives.users, positives.items - 1] = -np.inf
    sampled: np.ndarray = np.argpartition(-keys, count - 1, axis=1)[:, :count] + 1
    return sampled


def records_by_permutations(
    interactions: pl.DataFrame, titles: Mapping[str, str], pool: Sequence[str], negatives: int, seed: int
) -> list[Record]:
    """ThinkRec's records with negatives from a permutation of all items for each user."""
    records = []
    for (user,), rows in interactions.group_by("user_id", maintain_order=True):
        *history, last = rows["item_id"].to_list()
        distinct, interacted = list(dict.fromkeys(pool)), {*history, last}
        order = generator(seed, "thinkrec negatives", str(user)).permutation(len(distinct))
        rest = [distinct[k] for k in order if distinct[k] not in interacted][:negatives]
        shown = tuple(titles.get(past) or UNKNOWN for past in history)
        for item in (last, *rest):
            title = titles.get(item) or UNKNOWN
            records.append(Record(str(user), tuple(history), shown, item, title, int(item == last)))
    return records


def vectors_of_a_whole_table(path: Path, vocabulary: Vocabulary) -> np.ndarray:
    """Title vectors by a table of the whole file and lists of Python numbers."""
    rows = pl.read_csv(path, separator="\t", infer_schema=False, quote_char=None)
    rows.columns = ["item", "value"]
    rows = rows.drop_nulls().unique(maintain_order=True)
    rows = rows.with_columns(pl.Series("number", vocabulary.numbers(rows["item"])))
    parsed = rows.with_columns(vector=pl.col("value").str.extract_all(r"\S+").cast(pl.List(pl.Float32), strict=False))
    vectors = np.zeros((len(vocabulary) + 2, int(parsed["vector"].list.len().mode()[0])), dtype=np.float32)
    vectors[parsed["number"].to_numpy()] = np.array(parsed["vector"].to_list(), dtype=np.float32)
    return vectors


def means_of_all_items(bag: torch.nn.Module, lists: Sequences, items: torch.Tensor) -> torch.Tensor:
    """Mean embeddings of values of all items, then those of the batch."""
    means: torch.Tensor = bag(torch.from_numpy(lists.items), torch.from_numpy(lists.starts[:-1]))[items]
    return means
