"""Which domain every item of the vocabulary belongs to, and items a reader did not touch, drawn from one domain.

Arrays only: a whole epoch's negatives are drawn at once, and those that turn out to be known are drawn again."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from kitrec.core.domains import SOURCE as SOURCE_DOMAIN
from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.data.vocabulary import Vocabulary

NOWHERE, SOURCE = 0, 1  # padding; the source; every number above is a target of its own
ROUNDS = 50


@dataclass(frozen=True)
class Catalogue:
    """domains [N + 1]: NOWHERE for padding, SOURCE, or a target's number."""

    domains: np.ndarray

    @property
    def items(self) -> int:
        """N."""
        return len(self.domains) - 1

    @property
    def sides(self) -> np.ndarray:
        """[N + 1]: 0 for items of the source, 1 for items of a target, -1 for padding."""
        return np.sign(self.domains - SOURCE).astype(np.int64)  # NOWHERE is below, targets above

    @cached_property
    def counts(self) -> np.ndarray:
        """How many items each domain has."""
        return np.bincount(self.domains)

    @cached_property
    def _listed(self) -> tuple[np.ndarray, np.ndarray]:
        """Items sorted by domain, and where each domain begins."""
        return np.argsort(self.domains, kind="stable"), np.cumsum(self.counts) - self.counts

    def of_domain(self, domain: int) -> np.ndarray:
        """The items of a domain, ascending."""
        return np.flatnonzero(self.domains == domain)

    def drawn(self, rng: np.random.Generator, domains: np.ndarray) -> np.ndarray:
        """One uniform item for each domain named."""
        listed, first = self._listed
        return listed[first[domains] + (rng.random(domains.shape) * self.counts[domains]).astype(np.int64)]


def of_seen(seen: pl.DataFrame, vocabulary: Vocabulary) -> Catalogue:
    """From interactions (item_id, domain) that hold every item of the vocabulary."""
    known = seen.select("item_id", "domain").unique(subset="item_id", keep="first", maintain_order=True)
    targets = sorted(set(known["domain"]) - {SOURCE_DOMAIN})
    codes = {SOURCE_DOMAIN: SOURCE, **{name: SOURCE + 1 + k for k, name in enumerate(targets)}}
    domains = np.zeros(len(vocabulary) + 1, dtype=np.int64)
    domains[vocabulary.numbers(known["item_id"])] = known["domain"].replace_strict(codes, return_dtype=pl.Int64)
    domains[0] = NOWHERE
    return Catalogue(domains)


class Unknown:
    """Draws items that stand nowhere in a reader's sequence."""

    def __init__(self, histories: Sequences, catalogue: Catalogue) -> None:
        self.catalogue, self._width = catalogue, catalogue.items + 1
        self._known = np.unique(histories.users * self._width + histories.items)

    def drawn(self, rng: np.random.Generator, rows: np.ndarray, items: np.ndarray, count: int) -> np.ndarray:
        """[n, count] items of the domain of each of `items` [n], unknown to the reader of each of `rows` [n].

        A reader who knows nearly a whole domain keeps what the last of many draws gave; padding draws padding."""
        domains = np.repeat(self.catalogue.domains[items][:, None], count, axis=1)
        drawn = self.catalogue.drawn(rng, domains)
        offsets = np.repeat(rows[:, None] * self._width, count, axis=1)
        waiting = np.flatnonzero(self._among((offsets + drawn).ravel()))
        flat, domains, offsets = drawn.ravel(), domains.ravel(), offsets.ravel()
        for _ in range(ROUNDS):
            if not len(waiting):
                break
            flat[waiting] = self.catalogue.drawn(rng, domains[waiting])
            waiting = waiting[self._among(offsets[waiting] + flat[waiting])]
        return flat.reshape(drawn.shape)

    def are_known(self, rows: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Whether the reader of each row has the item; the two are broadcast."""
        return self._among(rows * self._width + items)

    def _among(self, keys: np.ndarray) -> np.ndarray:
        if not len(self._known):
            return np.zeros(keys.shape, dtype=bool)
        where = np.minimum(np.searchsorted(self._known, keys), len(self._known) - 1)
        return self._known[where] == keys
