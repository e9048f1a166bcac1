"""Batch schedule of the teacher's training: every update is a function of the seed and its number."""

import math
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import torch

from kitrec.core.randomness import generator
from kitrec.ilora.dataset import TokenizedDataset
from kitrec.ilora.params import Curriculum, TrainingConfig
from kitrec.ilora.prompts import text_only
from kitrec.llm.finetuning.dataset import Sample
from kitrec.llm.finetuning.length_buckets import LengthBuckets


class BatchSchedule:
    """Batches of the updates 0 ... `updates` - 1; ids from `vocab_size` on are item tokens."""

    def __init__(self, dataset: TokenizedDataset, config: TrainingConfig, vocab_size: int, seed: int) -> None:
        self._dataset, self._config, self._vocab_size, self._seed = dataset, config, vocab_size, seed
        self._update_size = config.batch_size * config.gradient_accumulation_steps
        self._updates_per_epoch = math.ceil(len(dataset) / self._update_size)
        self.updates = config.epochs * self._updates_per_epoch
        self._order = lru_cache(maxsize=1)(LengthBuckets(dataset.lengths, config.batch_size, seed).order)

    def micro_batches(self, update: int) -> Iterator[tuple[list[Sample], torch.Tensor]]:
        """Yield samples of similar length with the embeddings of their users."""
        epoch, step = divmod(update, self._updates_per_epoch)
        rows = self._order(epoch)[step * self._update_size :][: self._update_size]
        hybrid = self._draw_hybrid(update, len(rows))
        for start in range(0, len(rows), self._config.batch_size):
            part = slice(start, start + self._config.batch_size)
            pairs = zip(rows[part], hybrid[part], strict=True)
            samples = [self._dataset.samples[k] if is_hybrid else self._text_only(k) for k, is_hybrid in pairs]
            yield samples, self._dataset.user_embeddings[torch.from_numpy(rows[part])]

    def _draw_hybrid(self, update: int, count: int) -> np.ndarray:
        share = hybrid_share(update / self.updates, self._config.curriculum)
        return generator(self._seed, "hybrid prompts", update).random(count) < share

    def _text_only(self, row: int) -> Sample:
        return text_only(self._dataset.samples[row], self._vocab_size)


def hybrid_share(progress: float, p: Curriculum) -> float:
    """Return the share of hybrid prompts at this fraction of the training: 0, a linear ramp, 1 (LLaRA's curriculum)."""
    if progress >= p.hybrid_from:
        return 1.0
    return max(0.0, progress - p.text_until) / max(p.hybrid_from - p.text_until, 1e-9)
