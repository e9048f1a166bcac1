"""Drills: one short candidate list and many questions about it, so that most of a sequence teaches something.

Finding a line by its content and giving its id is what a whole prompt asks once in seven hundred tokens; here it is
asked in five forms: by title, by one theme, by two, by two with a stranger among them, and by a reader's history (with
the thought that names the themes, or with the JSON answer at once). Lines and answers are the pipeline's own."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kitrec.domains import LABELS, TARGETS
from kitrec.prompts.template import Item, Style, candidate_line, history_line
from kitrec.world.teacher import TemplateTeacher

STYLE = Style(thinking=True, answer_items=1, summaries=True)
HISTORY = (4, 9)  # books a reader of a drill has read: fewest, most
Piece = tuple[str, bool]  # a text, and whether it is learned
Ask = Callable[["Desk"], tuple[str, str]]


class Desk:
    """A candidate list in front of the one who asks, and the shelf it came from."""

    def __init__(
        self, rng: np.random.Generator, shelf: Sequence[Item], lines: int, teacher: TemplateTeacher, strength: float
    ) -> None:
        self.rng, self.shelf, self.teacher, self.strength = rng, shelf, teacher, strength
        self.shown: list[Item] = []
        while not any(item["categories"] for item in self.shown):
            self.shown = [shelf[k] for k in rng.choice(len(shelf), lines, replace=False)]
        self.target = str(rng.choice(TARGETS))
        self.words = sorted({word for item in shelf for word in item["categories"]})

    def any_line(self) -> Item:
        """One of the lines that have metadata."""
        named = [item for item in self.shown if item["categories"]]
        return named[self.rng.integers(len(named))]

    def stranger(self, words: list[str]) -> str:
        """A theme that is not among the words."""
        others = [word for word in self.words if word not in words]
        return others[self.rng.integers(len(others))]

    def fitting(self, wanted: list[str], among: Sequence[Item], count: int) -> list[Item]:
        """`count` items drawn as the world's users choose, P ∝ exp(strength x themes in common)."""
        value = [self.strength * len({*wanted} & {*item["categories"]}) for item in among]
        order = np.argsort(-(np.array(value) + self.rng.gumbel(size=len(among))))
        return [among[k] for k in order[:count]]

    def best(self, wanted: list[str]) -> Item:
        """A line with the most themes in common."""
        named = [item for item in self.shown if item["categories"]]
        common = [len({*wanted} & {*item["categories"]}) for item in named]
        best = np.flatnonzero(np.array(common) == max(common))
        return named[best[self.rng.integers(len(best))]]


def drill(
    rng: np.random.Generator,
    shelf: Sequence[Item],
    lines: int,
    questions: int,
    teacher: TemplateTeacher,
    strength: float,
) -> list[Piece]:
    """A list of `lines` candidates of the shelf and as many questions as asked for, with their answers."""
    desk = Desk(rng, shelf, lines, teacher, strength)
    pieces = [("".join(candidate_line(item["item_id"], item, STYLE) for item in desk.shown), False)]
    for kind in rng.choice(len(QUESTIONS), size=questions, p=SHARES):
        question, answer = QUESTIONS[kind](desk)
        pieces += [(question, False), (answer, True)]
    return pieces


def _by_title(desk: Desk) -> tuple[str, str]:
    item = desk.any_line()
    return f"Title: {item['title']}", desk.teacher.choice(item) + "\n"


def _by_one_theme(desk: Desk) -> tuple[str, str]:
    words = desk.any_line()["categories"]
    return _by_words(desk, [words[desk.rng.integers(len(words))]])


def _by_two_themes(desk: Desk) -> tuple[str, str]:
    return _by_words(desk, list(desk.any_line()["categories"]))


def _by_themes_and_a_stranger(desk: Desk) -> tuple[str, str]:
    words = list(desk.any_line()["categories"])
    return _by_words(desk, [*words, desk.stranger(words)])


def _by_words(desk: Desk, words: list[str]) -> tuple[str, str]:
    asked = desk.rng.permutation(words).tolist()
    return f"{LABELS[desk.target]} themes: {', '.join(asked)}", desk.teacher.choice(desk.best(asked)) + "\n"


def _by_reader(desk: Desk) -> tuple[str, str]:
    words = list(desk.any_line()["categories"])
    favourites = [*words, desk.stranger(words)]
    read = desk.fitting(favourites, desk.shelf, int(desk.rng.integers(HISTORY[0], HISTORY[1] + 1)))
    chosen = desk.fitting(favourites, desk.shown, 1)[0]
    record: dict[str, Any] = {
        "gt_item_id": chosen["item_id"],
        "target": desk.target,
        "source_items": [item["item_id"] for item in read],
        "target_items": [],
    }
    history = "".join(history_line(item, float(desk.rng.integers(1, 6)), STYLE) for item in read)
    answer = desk.teacher.thought(record) if desk.rng.random() < 0.5 else desk.teacher.answer(record)
    return history, answer + "\n"


QUESTIONS: tuple[Ask, ...] = (
    _by_title,
    _by_one_theme,
    _by_two_themes,
    _by_themes_and_a_stranger,
    _by_reader,
)
SHARES = (0.25, 0.2, 0.2, 0.25, 0.1)
