"""Learning from mistakes: what the model gets wrong in training is explained by a teacher, and learned.

    round: training records with P(Yes) on the wrong side of 1/2, at most `cases`, the surest mistakes first
           -> the teacher, told the right answer and the wrong one, says why -> new reasoning samples with provenance
           -> the model learns on, these in place of the first reasons -> the validation says whether it helped
A round that does not help is told as one, its samples and weights are given up, and there is no other round."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from kitrec.thinkrec.conversion import Teacher, with_reasons
from kitrec.thinkrec.params import Reflection
from kitrec.thinkrec.records import Record


@dataclass(frozen=True)
class Round:
    number: int
    mistakes: int  # among all training records
    asked: int
    learned: int
    dropped: dict[str, int]
    before: float  # AUC of the validation
    after: float

    @property
    def improved(self) -> bool:
        """Whether the round was worth it."""
        return self.after > self.before


@dataclass(frozen=True)
class Reflected:
    rounds: list[Round]
    samples: list[Record]  # of the rounds that helped


@dataclass(frozen=True)
class Loop:
    """What a round needs: the model's P(Yes), a teacher, learning (which can be undone), and a judge."""

    predict: Callable[[Sequence[Record]], np.ndarray]
    teacher: Teacher
    learn: Callable[[Sequence[Record], int], Callable[[], None]]  # samples, round -> how to undo it
    judge: Callable[[], float]


def reflect(records: Sequence[Record], loop: Loop, p: Reflection) -> Reflected:
    """At most `rounds` rounds; recommendation records alone are looked at."""
    asked = [own for own in records if own.mode == "v2"]
    rounds, samples, best = [], list[Record](), loop.judge()
    for number in range(1, p.rounds + 1):
        wrong = mistaken(asked, loop.predict(asked))
        told, dropped = with_reasons(wrong[: p.cases], loop.teacher, mistaken=True)
        told = [replace(own, provenance=f"reflection {number}, {own.provenance}") for own in told]
        if not told:
            rounds.append(Round(number, len(wrong), min(len(wrong), p.cases), 0, dropped, best, best))
            break
        undo = loop.learn([*samples, *told], number)
        after = loop.judge()
        rounds.append(Round(number, len(wrong), min(len(wrong), p.cases), len(told), dropped, best, after))
        if not rounds[-1].improved:
            undo()
            break
        best, samples = after, [*samples, *told]
    return Reflected(rounds, samples)


def mistaken(records: Sequence[Record], probabilities: np.ndarray) -> list[Record]:
    """Records on the wrong side of one half, the surest mistakes first."""
    labels = np.array([own.label for own in records])
    off = np.abs(labels - probabilities)
    order = np.argsort(-off, kind="stable")
    return [records[k] for k in order if (probabilities[k] > 0.5) != labels[k]]
