"""Drills: short texts that ask much, since a whole prompt chooses a line once in seven hundred tokens.

* list drills: a candidate list and many thoughts about it, each from a target's themes to the line that fits them best;
* history drills: a reader's history and the thought about its themes.
Lines, headings and thoughts are the pipeline's own."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from kitrec.core.domains import LABELS, SOURCE, TARGETS
from kitrec.prompts.template import Item, Style, candidate_line, segments
from kitrec.prompts.tokens import THINK
from kitrec.synthetic.teacher import TemplateTeacher

STYLE = Style(thinking=True, answer_items=1, summaries=True)
READ, SEEN = (5, 16), (0, 10)  # books and target items of a reader: fewest, most
FAVOURITES = 3
TWO_SHARED = 0.8  # of the questions ask for a line by two of its themes, the others by one
ATTEMPTS = 20
TextSpan = tuple[str, bool]  # a text, and whether it is learned
DomainItems = dict[str, list[dict[str, Any]]]  # the items of each domain


def list_task(
    rng: np.random.Generator, shelf: Sequence[Item], lines: int, questions: int, teacher: TemplateTeacher
) -> list[TextSpan]:
    """A list of `lines` candidates of the shelf, and themes that lead to one of them as often as asked for."""
    named = [k for k, item in enumerate(shelf) if item["categories"]]
    first = rng.choice(named)  # at least one line has metadata
    others = rng.permutation(np.delete(np.arange(len(shelf)), first))[: lines - 1]
    shown = [shelf[k] for k in rng.permutation([first, *others])]
    pieces = [("".join(candidate_line(item["item_id"], item, STYLE) for item in shown), False), (THINK, False)]
    words = sorted({word for item in shelf for word in item["categories"]})
    for _ in range(questions):
        wanted, best = _clear_question(rng, shown, words)
        target = LABELS[str(rng.choice(TARGETS))]
        pieces += [(f"\n{target} themes: {', '.join(wanted)}", False), (teacher.choice(best), True)]
    return pieces


def history_task(
    rng: np.random.Generator, shelves: DomainItems, teacher: TemplateTeacher, theme_strength: float
) -> list[TextSpan]:
    """The histories of a reader with some favourite themes, and what a thought says about them."""
    target = str(rng.choice(TARGETS))
    words = sorted({word for item in shelves[SOURCE] for word in item["categories"]})
    favourites = rng.choice(words, FAVOURITES, replace=False).tolist()
    books = _fitting(rng, favourites, shelves[SOURCE], int(rng.integers(*READ)), theme_strength)
    seen = _fitting(rng, favourites, shelves[target], int(rng.integers(*SEEN)) * int(rng.integers(2)), theme_strength)
    record: dict[str, Any] = {
        "target": target,
        "source_items": [item["item_id"] for item in books],
        "source_ratings": rng.integers(1, 6, len(books)).astype(float).tolist(),
        "target_items": [item["item_id"] for item in seen],
        "target_ratings": rng.integers(1, 6, len(seen)).astype(float).tolist(),
        "candidate_ids": [],
    }
    items = {item["item_id"]: item for item in [*books, *seen]}
    return [(segments(record, items, STYLE).history, False), (THINK, False), (f"\n{teacher.themes(record)}\n", True)]


def _clear_question(rng: np.random.Generator, shown: Sequence[Item], words: list[str]) -> tuple[list[str], Item]:
    """Three themes, and the line that shares more of them than any other; if need be one of equals."""
    named = [item for item in shown if item["categories"]]
    size = 1 + int(rng.random() < TWO_SHARED)
    for _ in range(ATTEMPTS):
        line = named[rng.integers(len(named))]
        own = rng.permutation(line["categories"]).tolist()[:size]
        strange = rng.choice([word for word in words if word not in own], FAVOURITES - size, replace=False)
        wanted = rng.permutation([*own, *strange.tolist()]).tolist()
        common = np.array([len({*wanted} & {*item["categories"]}) for item in shown])
        if np.count_nonzero(common == common.max()) == 1:
            break
    return wanted, shown[int(common.argmax())]


def _fitting(
    rng: np.random.Generator, favourites: list[str], shelf: Sequence[Item], count: int, strength: float
) -> list[Item]:
    """`count` items drawn as the world's users choose, P ∝ exp(strength x themes in common)."""
    value = np.array([strength * len({*favourites} & {*item["categories"]}) for item in shelf])
    order = np.argsort(-(value + rng.gumbel(size=len(shelf))))
    return [shelf[k] for k in order[:count]]
