"""Auxiliary pre-training tasks: short texts with many targets, since a whole prompt has one choice in 700 tokens.

* list task: a candidate list and many thoughts about it, each from a target's themes to the best-matching line;
* history task: a user's history and the thought about its themes.
Lines, headings and thoughts are those of the pipeline."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from kitrec.core.domains import KITREC
from kitrec.prompts.shown_items import Item
from kitrec.prompts.template import Style, candidate_line, segments
from kitrec.prompts.thought_marks import THINK
from kitrec.synthetic.teacher import TemplateTeacher

STYLE = Style(thinking=True, answer_items=1, summaries=True)
BOOK_COUNTS, TARGET_COUNTS = (5, 16), (0, 10)  # of a user: minimum, maximum (exclusive)
THEMES_NAMED = 3
TWO_SHARED_SHARE = 0.8  # of the choices share two themes with the line, the others one
ATTEMPTS = 20
TextSpan = tuple[str, bool]  # a text, and whether it is a target of the loss
ItemsByDomain = dict[str, list[dict[str, Any]]]  # the items of each domain


def list_task(
    rng: np.random.Generator, domain_items: Sequence[Item], lines: int, choices: int, teacher: TemplateTeacher
) -> list[TextSpan]:
    """Return a list of `lines` candidates, and `choices` times themes with the candidate they lead to."""
    with_metadata = [k for k, item in enumerate(domain_items) if item["categories"]]
    first = rng.choice(with_metadata)  # at least one line has metadata
    others = rng.permutation(np.delete(np.arange(len(domain_items)), first))[: lines - 1]
    listed = [domain_items[k] for k in rng.permutation([first, *others])]
    spans = [("".join(candidate_line(item["item_id"], item, STYLE) for item in listed), False), (THINK, False)]
    words = sorted({word for item in domain_items for word in item["categories"]})
    for _ in range(choices):
        themes, best = _draw_choice(rng, listed, words)
        target = KITREC.labels[str(rng.choice(KITREC.targets))]
        spans += [(f"\n{target} themes: {', '.join(themes)}", False), (teacher.choice(best), True)]
    return spans


def history_task(
    rng: np.random.Generator, items_by_domain: ItemsByDomain, teacher: TemplateTeacher, theme_strength: float
) -> list[TextSpan]:
    """Return the histories of a user with some favourite themes, and the thought about them."""
    target = str(rng.choice(KITREC.targets))
    words = sorted({word for item in items_by_domain[KITREC.source] for word in item["categories"]})
    favourites = rng.choice(words, THEMES_NAMED, replace=False).tolist()
    books = _sample_by_taste(
        rng, favourites, items_by_domain[KITREC.source], int(rng.integers(*BOOK_COUNTS)), theme_strength
    )
    count = int(rng.integers(*TARGET_COUNTS)) * int(rng.integers(2))  # none in half of the cases
    targets = _sample_by_taste(rng, favourites, items_by_domain[target], count, theme_strength)
    record: dict[str, Any] = {
        "target": target,
        "source_items": [item["item_id"] for item in books],
        "source_ratings": rng.integers(1, 6, len(books)).astype(float).tolist(),
        "target_items": [item["item_id"] for item in targets],
        "target_ratings": rng.integers(1, 6, len(targets)).astype(float).tolist(),
        "candidate_ids": [],
    }
    items = {item["item_id"]: item for item in [*books, *targets]}
    return [(segments(record, items, STYLE).history, False), (THINK, False), (f"\n{teacher.themes(record)}\n", True)]


def _draw_choice(rng: np.random.Generator, listed: Sequence[Item], words: list[str]) -> tuple[list[str], Item]:
    """Draw three themes and the line that shares most of them; ties are possible only after ATTEMPTS draws."""
    with_metadata = [item for item in listed if item["categories"]]
    size = 1 + int(rng.random() < TWO_SHARED_SHARE)
    for _ in range(ATTEMPTS):
        line = with_metadata[rng.integers(len(with_metadata))]
        shared = rng.permutation(line["categories"]).tolist()[:size]
        unrelated = rng.choice([word for word in words if word not in shared], THEMES_NAMED - size, replace=False)
        themes = rng.permutation([*shared, *unrelated.tolist()]).tolist()
        common = np.array([len({*themes} & {*item["categories"]}) for item in listed])
        if np.count_nonzero(common == common.max()) == 1:
            break
    return themes, listed[int(common.argmax())]


def _sample_by_taste(
    rng: np.random.Generator, favourites: list[str], domain_items: Sequence[Item], count: int, strength: float
) -> list[Item]:
    """Draw `count` items like the world's users do, P ∝ exp(strength x common themes)."""
    value = np.array([strength * len({*favourites} & {*item["categories"]}) for item in domain_items])
    order = np.argsort(-(value + rng.gumbel(size=len(domain_items))))
    return [domain_items[k] for k in order[:count]]
