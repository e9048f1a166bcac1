"""What is known of items besides their numbers."""

from dataclasses import dataclass, field

import numpy as np

from kitrec.recommenders.data.sequences import Sequences


@dataclass(frozen=True)
class Known:
    """Metadata of items 0 ... N+1 (padding and mask have none): lists of value numbers from 0, and title vectors."""

    values: dict[str, Sequences] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    titles: np.ndarray | None = None

    @property
    def features(self) -> list[str]:
        return [*self.values, *([] if self.titles is None else ["title"])]
