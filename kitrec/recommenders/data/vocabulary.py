"""Item ids and their numbers: built once from the training interactions and stored with the model.

Items are numbered 1 ... N in the order of their ids; 0 is padding. An item outside the vocabulary has no number: it is
left out of histories, and as a candidate it ranks behind all others."""

from collections.abc import Iterable

import numpy as np
import polars as pl


class Vocabulary:
    def __init__(self, item_ids: Iterable[str]) -> None:
        self.item_ids = sorted(set(item_ids))
        self._ids = np.array(self.item_ids, dtype=object)
        self._numbers = pl.DataFrame(
            {"item_id": self.item_ids, "number": np.arange(1, len(self.item_ids) + 1)},
            schema={"item_id": pl.String, "number": pl.Int64},
        )

    def __len__(self) -> int:
        return len(self.item_ids)

    def numbers(self, item_ids: pl.Series) -> np.ndarray:
        """Return the number of each id, 0 for an id outside the vocabulary."""
        queries = pl.DataFrame({"item_id": item_ids.cast(pl.String)})
        joined = queries.join(self._numbers, on="item_id", how="left", maintain_order="left")
        return joined["number"].fill_null(0).to_numpy()

    def ids(self, numbers: np.ndarray) -> list[str]:
        """Return the ids of item numbers from 1."""
        ids: list[str] = self._ids[numbers - 1].tolist()
        return ids
