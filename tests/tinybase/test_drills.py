"""The answers of drills follow from their own text."""

import re
from collections import Counter

import numpy as np
import pytest

from kitrec.core.domains import LABELS
from kitrec.synthetic.teacher import TemplateTeacher
from kitrec.tinybase.rehearsal import rehearsal_world
from kitrec.tinybase.tasks import READ, history_task, list_task

LINE = re.compile(r"\(ID: ([A-Z]+)\) ([A-Z]\w+ [A-Z]\w+|Unknown)(?: \| (\w+), (\w+))?")


@pytest.fixture(scope="module")
def taught(miniature):
    world = rehearsal_world(5, 1, miniature.p)
    domains = world.items.partition_by("domain", as_dict=True)
    return {domain: domains[(domain,)].to_dicts() for domain in LABELS}, TemplateTeacher(world.themes, world.items)


@pytest.fixture(scope="module")
def lists(taught):
    shelves, teacher = taught
    rng = np.random.default_rng(0)
    return [list_task(rng, shelves["movies"], 8, 12, teacher) for _ in range(60)]


def listed(pieces):
    """id -> (title, themes), read from the list's text."""
    return {item: (title, {a, b} - {""}) for item, title, a, b in LINE.findall(pieces[0][0])}


def test_a_list_and_then_themes_and_choice_in_turn(lists):
    for pieces in lists:
        assert len(listed(pieces)) == 8
        assert [learned for _, learned in pieces] == [False, False, *([False, True] * 12)]


def test_every_choice_copies_a_line_of_the_list(lists):
    for pieces in lists:
        lines = listed(pieces)
        for choice, learned in pieces:
            for item, title, a, b in LINE.findall(choice) if learned else []:
                assert lines[item] == (title, {a, b} - {""})


def test_three_themes_lead_to_a_line_with_the_most_of_them(lists):
    shared = Counter()
    for pieces in lists:
        lines = listed(pieces)
        for (question, _), (choice, _) in zip(pieces[2::2], pieces[3::2], strict=True):
            name, _, wanted = question.strip().partition(": ")
            asked = set(wanted.split(", "))
            (_, _, *themes), *_ = LINE.findall(choice)
            assert name.removesuffix(" themes") in LABELS.values() and len(asked) == 3
            assert len(asked & set(themes)) == max(len(asked & named) for _, named in lines.values())
            shared[len(asked & set(themes))] += 1
    assert min(shared) == 1 and shared[1] > 50 and shared[2] > 300


def test_a_history_drill_names_the_most_frequent_themes_of_its_text(taught):
    shelves, teacher = taught
    rng = np.random.default_rng(1)
    for _ in range(60):
        history, _, (thought, learned) = history_task(rng, shelves, teacher, 5.0)
        lines = [line for line in history[0].splitlines() if line.startswith("- ")]
        books, here = (line.partition(": ")[2].split(", ") for line in thought.strip().splitlines())
        pairs = [re.search(r"\| (\w+), (\w+) \|", line) for line in lines]
        counts = Counter(word for pair in pairs if pair for word in pair.groups())
        assert learned and books == here == [word for word, _ in counts.most_common(3)]
        assert len(lines) >= READ[0]
