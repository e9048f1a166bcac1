"""HitRatio@1 and ValidRatio over all samples (LLaRA's metrics; the papers' code divides by valid answers alone).

    HitRatio@1 (written)   an answer names exactly one candidate, and it is the truth
    ValidRatio             an answer names exactly one candidate
    HitRatio@1 (scored)    the truth is the likeliest candidate; k equally likely ones share the hit
A candidate is named by its whole name, in any case and as whole words; where a name is part of a longer one that stands
there, only the longer one is named. Two candidates of one title are both named by it, which is no valid answer."""

import re
from collections.abc import Sequence

import numpy as np


def named(answer: str, names: Sequence[str]) -> list[int]:
    """Which candidates an answer names."""
    folded = [name.strip().casefold() for name in names]
    text = answer.casefold()
    spans = [
        (found.start(), found.start() + len(name), name)
        for name in {name for name in folded if name}
        for found in re.finditer(rf"(?<!\w)(?={re.escape(name)}(?!\w))", text)
    ]
    whole = {
        name
        for begin, end, name in spans
        if not any(b <= begin and end <= e and e - b > end - begin for b, e, _ in spans)
    }
    return [k for k, name in enumerate(folded) if name in whole]


def written_ratios(answers: Sequence[str], names: Sequence[Sequence[str]], truths: Sequence[int]) -> dict[str, float]:
    """HitRatio@1 and ValidRatio of what was written, over all samples."""
    chosen = [named(answer, own) for answer, own in zip(answers, names, strict=True)]
    valid = [len(own) == 1 for own in chosen]
    hits = [own == [truth] for own, truth in zip(chosen, truths, strict=True)]
    return {"hit_ratio@1": float(np.mean(hits)), "valid_ratio": float(np.mean(valid))}


def scored_ratio(scores: Sequence[np.ndarray], truths: Sequence[int]) -> float:
    """HitRatio@1 of scores, ties by expectation."""
    best = [own == own.max() for own in scores]
    return float(np.mean([own[truth] / own.sum() for own, truth in zip(best, truths, strict=True)]))
