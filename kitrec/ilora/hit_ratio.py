"""HitRatio@1 and ValidRatio over all samples (LLaRA's metrics; the papers' code divides by valid answers alone).

    HitRatio@1 (generated)   the answer names exactly one candidate, and it is the ground truth
    ValidRatio               the answer names exactly one candidate
    HitRatio@1 (scored)      the ground truth is the likeliest candidate; k equally likely ones share the hit
A candidate is named by its whole name, in any case and as whole words; where a name is part of a longer one at the same
place, only the longer one is named. Two candidates with the same title are both named, which is not a valid answer."""

import re
from collections.abc import Sequence

import numpy as np


def named_candidates(answer: str, names: Sequence[str]) -> list[int]:
    """Return the indices of the candidates that an answer names."""
    folded = [name.strip().casefold() for name in names]
    text = answer.casefold()
    spans = [
        (match.start(), match.start() + len(name), name)
        for name in {name for name in folded if name}
        for match in re.finditer(rf"(?<!\w)(?={re.escape(name)}(?!\w))", text)
    ]
    maximal = {
        name
        for begin, end, name in spans
        if not any(b <= begin and end <= e and e - b > end - begin for b, e, _ in spans)
    }
    return [k for k, name in enumerate(folded) if name in maximal]


def generated_hit_ratio(
    answers: Sequence[str], names: Sequence[Sequence[str]], ground_truths: Sequence[int]
) -> dict[str, float]:
    """Return HitRatio@1 and ValidRatio of generated answers; `ground_truths` are indices into `names`."""
    predictions = [named_candidates(answer, candidates) for answer, candidates in zip(answers, names, strict=True)]
    valid = [len(prediction) == 1 for prediction in predictions]
    hits = [prediction == [label] for prediction, label in zip(predictions, ground_truths, strict=True)]
    return {"hit_ratio@1": float(np.mean(hits)), "valid_ratio": float(np.mean(valid))}


def scored_hit_ratio(scores: Sequence[np.ndarray], ground_truths: Sequence[int]) -> float:
    """Return HitRatio@1 of candidate scores, ties by expectation."""
    best = [values == values.max() for values in scores]
    return float(np.mean([ties[label] / ties.sum() for ties, label in zip(best, ground_truths, strict=True)]))
