"""Training samples of records, and the batches they form.

A sample is a composed prompt, the answer in token ids, the label and the mode. Batches hold reasoning and
recommendation samples in a fixed ratio, each kind shuffled per epoch. Slot k of the endless stream is a reasoning
sample if floor((k + 1) q) > floor(k q), with q the ratio: every batch is as close to it as whole numbers allow. Update
n is computed without those before it, so that a resumed run continues identically."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kitrec.core.errors import InputError
from kitrec.core.randomness import generator
from kitrec.prompts.tokens import Encoder
from kitrec.thinkrec.prompt_composer import ComposedPrompt, PromptComposer
from kitrec.thinkrec.records import Record, label_verdict


@dataclass(frozen=True)
class Sample:
    prompt: ComposedPrompt
    answer: list[int]
    label: int
    reasoning: bool
    item: bool = False  # the answer is the item's title

    @property
    def sequence(self) -> ComposedPrompt:
        """Prompt and answer."""
        return self.prompt.extended(self.answer)


@dataclass(frozen=True)
class VerdictTokens:
    """First tokens of Yes and No, whose logits score a prompt."""

    yes: int
    no: int


def verdict_tokens(encoder: Encoder) -> VerdictTokens:
    """Return the first tokens of Yes and No, which must differ."""
    tokens = VerdictTokens(encoder.plain("Yes")[0], encoder.plain("No")[0])
    if tokens.yes == tokens.no:
        raise InputError("the tokenizer begins Yes and No with the same token: take another base")
    return tokens


def sample(record: Record, composer: PromptComposer, encoder: Encoder, template: int) -> Sample:
    """Return the sample of a record: a reasoning sample answers with its rationale, others with the verdict alone, or
    with the item's title."""
    item = record.answer == "item"
    verdict = record.reason if record.reason is not None else label_verdict(record.label)
    answer = record.target_title if item else verdict
    ids = [*encoder.plain(answer), encoder.end_of_turn]  # whatever a rationale holds, its verdict comes first
    return Sample(composer.compose(record, template), ids, record.label, record.mode == "v1", item)


def samples(records: Sequence[Record], composer: PromptComposer, encoder: Encoder, seed: int) -> list[Sample]:
    """Return the samples of records, each by a randomly drawn template: in turn, templates would follow the order of
    the labels and reveal them."""
    drawn = generator(seed, "thinkrec templates").integers(2**31, size=len(records)).tolist()
    return [sample(record, composer, encoder, number) for number, record in zip(drawn, records, strict=True)]


def sample_counts(batch: Sequence[Sample]) -> dict[str, int]:
    """Count samples by kind and label, the longest one, and the vectors that their prompts lack."""
    return {
        "samples": len(batch),
        "reasoning": sum(s.reasoning for s in batch),
        "positives": sum(s.label for s in batch),
        "longest": max((len(s.prompt) + len(s.answer) for s in batch), default=0),
        "missing_vectors": sum(s.prompt.missing for s in batch),
    }


def reasoning_mask(batch: Sequence[Sample]) -> np.ndarray:
    """Return which samples are reasoning samples [B]."""
    return np.array([s.reasoning for s in batch], dtype=bool)


def token_owners(batch: Sequence[Sample]) -> list[int]:
    """Return for each answer token [A] the number of its sample."""
    return [number for number, s in enumerate(batch) for _ in s.answer]


class MixedBatchSampler:
    """Batches of sample numbers; `reasoning` says which samples are reasoning samples, `ratio` their share."""

    def __init__(self, reasoning: np.ndarray, ratio: float, batch_size: int, seed: int) -> None:
        if not len(reasoning):
            raise InputError("there is no sample to learn from: check the records")
        self._kinds = {True: np.flatnonzero(reasoning), False: np.flatnonzero(~reasoning)}
        empty = [kind for kind, numbers in self._kinds.items() if not len(numbers)]
        self._ratio = ratio if not empty else float(not empty[0])  # a single kind fills all batches
        self._batch_size, self._seed = batch_size, seed
        self._newest_order = {kind: (-1, np.empty(0, dtype=np.int64)) for kind in (True, False)}

    def batch(self, update: int) -> np.ndarray:
        """Return the sample numbers of an update, counted from 0."""
        slots = range(update * self._batch_size, (update + 1) * self._batch_size)
        return np.array([self._sample(slot) for slot in slots])

    def _sample(self, slot: int) -> int:
        before = math.floor(slot * self._ratio + 1e-9)
        reasoning = math.floor((slot + 1) * self._ratio + 1e-9) > before
        numbers, position = self._kinds[reasoning], before if reasoning else slot - before
        epoch, position = divmod(position, len(numbers))
        return int(numbers[self._order(reasoning, epoch)[position]])

    def _order(self, reasoning: bool, epoch: int) -> np.ndarray:
        """Return the shuffled order of a kind in an epoch; the newest order of each kind is cached."""
        if self._newest_order[reasoning][0] != epoch:
            rng = generator(self._seed, "thinkrec samples", int(reasoning), epoch)
            self._newest_order[reasoning] = epoch, rng.permutation(len(self._kinds[reasoning]))
        return self._newest_order[reasoning][1]
