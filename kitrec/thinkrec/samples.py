"""Records as samples: a composed prompt, the answer in token ids, the label and the mode."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kitrec.core.errors import InputError
from kitrec.core.randomness import generator
from kitrec.prompts.tokens import Encoder
from kitrec.thinkrec.prompt_composer import Composed, Composer
from kitrec.thinkrec.reasons import verdict_of
from kitrec.thinkrec.records import Record


@dataclass(frozen=True)
class Sample:
    prompt: Composed
    answer: list[int]
    label: int
    reasoning: bool

    @property
    def whole(self) -> Composed:
        """Prompt and answer."""
        return self.prompt.followed_by(self.answer)


@dataclass(frozen=True)
class Verdicts:
    """The first tokens of Yes and No, by which a prompt is judged."""

    yes: int
    no: int


def verdicts(encoder: Encoder) -> Verdicts:
    """They must differ, or no logit could tell them apart."""
    found = Verdicts(encoder.plain("Yes")[0], encoder.plain("No")[0])
    if found.yes == found.no:
        raise InputError("the tokenizer begins Yes and No with the same token: take another base")
    return found


def sample(own: Record, composer: Composer, encoder: Encoder, number: int) -> Sample:
    """A reasoning sample answers with its reason, a recommendation sample with the verdict alone."""
    answer = own.reason if own.reason is not None else verdict_of(own.label)
    ids = [*encoder.plain(answer), encoder.end_of_turn]  # whatever a reason holds, its verdict comes first
    return Sample(composer.compose(own, number), ids, own.label, own.mode == "v1")


def samples(records: Sequence[Record], composer: Composer, encoder: Encoder, seed: int) -> list[Sample]:
    """Each by a template drawn for it: in turn they would follow the order of the labels, and give them away."""
    drawn = generator(seed, "thinkrec templates").integers(2**31, size=len(records)).tolist()
    return [sample(own, composer, encoder, number) for number, own in zip(drawn, records, strict=True)]


def counts(own: Sequence[Sample]) -> dict[str, int]:
    """How many of what kind, and how many vectors were missing in their prompts."""
    return {
        "samples": len(own),
        "reasoning": sum(s.reasoning for s in own),
        "liked": sum(s.label for s in own),
        "longest": max((len(s.prompt) + len(s.answer) for s in own), default=0),
        "missing_vectors": sum(s.prompt.missing for s in own),
    }


def modes(own: Sequence[Sample]) -> np.ndarray:
    """Which samples are reasoning samples."""
    return np.array([s.reasoning for s in own], dtype=bool)


def owners(own: Sequence[Sample]) -> list[int]:
    """Whose token each answer token is."""
    return [number for number, s in enumerate(own) for _ in s.answer]
