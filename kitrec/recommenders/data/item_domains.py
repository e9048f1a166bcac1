"""The domain of every item, and negatives from one domain that a user has not had.

Arrays only: the negatives of a whole epoch are sampled at once, and positives among them are resampled."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.data.vocabulary import Vocabulary

PADDING, SOURCE = 0, 1  # every higher number is a target domain of its own
MAX_ROUNDS = 50


@dataclass(frozen=True)
class ItemDomains:
    """domains [N + 1]: PADDING, SOURCE, or the number of a target."""

    domains: np.ndarray

    @property
    def items(self) -> int:
        """N."""
        return len(self.domains) - 1

    @property
    def sides(self) -> np.ndarray:
        """[N + 1]: 0 for items of the source, 1 for items of a target, -1 for padding."""
        return np.sign(self.domains - SOURCE).astype(np.int64)  # PADDING is below, targets above

    @cached_property
    def counts(self) -> np.ndarray:
        """The number of items of each domain."""
        return np.bincount(self.domains)

    @cached_property
    def _sorted_items(self) -> tuple[np.ndarray, np.ndarray]:
        """Items sorted by domain, and the start of each domain."""
        return np.argsort(self.domains, kind="stable"), np.cumsum(self.counts) - self.counts

    def items_of(self, domain: int) -> np.ndarray:
        """Return the items of a domain, ascending."""
        return np.flatnonzero(self.domains == domain)

    def sample(self, rng: np.random.Generator, domains: np.ndarray) -> np.ndarray:
        """Sample one uniform item of each given domain."""
        items, starts = self._sorted_items
        return items[starts[domains] + (rng.random(domains.shape) * self.counts[domains]).astype(np.int64)]


def item_domains_of(table: pl.DataFrame, targets: Iterable[str], vocabulary: Vocabulary) -> ItemDomains:
    """Build the domains from a table (item_id, domain) that covers the vocabulary."""
    items = table.select("item_id", "domain").unique(subset="item_id", keep="first", maintain_order=True)
    numbers = {name: SOURCE + 1 + k for k, name in enumerate(targets)}
    codes = {**dict.fromkeys(set(items["domain"]), SOURCE), **numbers}
    domains = np.zeros(len(vocabulary) + 1, dtype=np.int64)
    domains[vocabulary.numbers(items["item_id"])] = items["domain"].replace_strict(codes, return_dtype=pl.Int64)
    domains[0] = PADDING
    return ItemDomains(domains)


class NegativeSampler:
    """Samples items outside a user's history."""

    def __init__(self, histories: Sequences, item_domains: ItemDomains) -> None:
        self.item_domains, self._width = item_domains, item_domains.items + 1
        self._positives = np.unique(histories.users * self._width + histories.items)

    def sample(self, rng: np.random.Generator, rows: np.ndarray, items: np.ndarray, count: int) -> np.ndarray:
        """Sample [n, count] items of the domain of each of `items` [n] that the user of each of `rows` [n] has not had.

        A user who has nearly a whole domain keeps the last of many samples; padding gives padding."""
        domains = np.repeat(self.item_domains.domains[items][:, None], count, axis=1)
        sampled = self.item_domains.sample(rng, domains)
        offsets = np.repeat(rows[:, None] * self._width, count, axis=1)
        rejected = np.flatnonzero(self._among((offsets + sampled).ravel()))
        flat, domains, offsets = sampled.ravel(), domains.ravel(), offsets.ravel()
        for _ in range(MAX_ROUNDS):
            if not len(rejected):
                break
            flat[rejected] = self.item_domains.sample(rng, domains[rejected])
            rejected = rejected[self._among(offsets[rejected] + flat[rejected])]
        return flat.reshape(sampled.shape)

    def are_positive(self, rows: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Return whether the user of each row has the item; the two are broadcast."""
        return self._among(rows * self._width + items)

    def _among(self, keys: np.ndarray) -> np.ndarray:
        if not len(self._positives):
            return np.zeros(keys.shape, dtype=bool)
        positions = np.minimum(np.searchsorted(self._positives, keys), len(self._positives) - 1)
        return self._positives[positions] == keys
