"""The answers of the pre-training tasks follow from their text."""

import re
from collections import Counter

import numpy as np
import pytest

from kitrec.core.domains import KITREC
from kitrec.synthetic.teacher import TemplateTeacher
from kitrec.tinybase.rehearsal import rehearsal_world
from kitrec.tinybase.tasks import BOOK_COUNTS, history_task, list_task

LINE = re.compile(r"\(ID: ([A-Z]+)\) ([A-Z]\w+ [A-Z]\w+|Unknown)(?: \| (\w+), (\w+))?")


@pytest.fixture(scope="module")
def items_and_teacher(miniature):
    world = rehearsal_world(5, 1, miniature.p)
    domains = world.items.partition_by("domain", as_dict=True)
    return {domain: domains[(domain,)].to_dicts() for domain in KITREC.labels}, TemplateTeacher(
        world.themes, world.items
    )


@pytest.fixture(scope="module")
def lists(items_and_teacher):
    items_by_domain, teacher = items_and_teacher
    rng = np.random.default_rng(0)
    return [list_task(rng, items_by_domain["movies"], 8, 12, teacher) for _ in range(60)]


def list_lines(spans):
    """Parse id -> (title, themes) from the text of the list."""
    return {item: (title, {a, b} - {""}) for item, title, a, b in LINE.findall(spans[0][0])}


def test_a_list_is_followed_by_alternating_themes_and_choices(lists):
    for spans in lists:
        assert len(list_lines(spans)) == 8
        assert [is_target for _, is_target in spans] == [False, False, *([False, True] * 12)]


def test_every_choice_copies_a_line_of_the_list(lists):
    for spans in lists:
        lines = list_lines(spans)
        for choice, is_target in spans:
            for item, title, a, b in LINE.findall(choice) if is_target else []:
                assert lines[item] == (title, {a, b} - {""})


def test_the_chosen_line_shares_most_of_the_three_themes(lists):
    shared = Counter()
    for spans in lists:
        lines = list_lines(spans)
        for (prompt, _), (choice, _) in zip(spans[2::2], spans[3::2], strict=True):
            name, _, names = prompt.strip().partition(": ")
            themes_named = set(names.split(", "))
            (_, _, *themes), *_ = LINE.findall(choice)
            assert name.removesuffix(" themes") in KITREC.labels.values() and len(themes_named) == 3
            assert len(themes_named & set(themes)) == max(len(themes_named & named) for _, named in lines.values())
            shared[len(themes_named & set(themes))] += 1
    assert min(shared) == 1 and shared[1] > 50 and shared[2] > 300


def test_a_history_task_names_the_most_frequent_themes_of_its_text(items_and_teacher):
    items_by_domain, teacher = items_and_teacher
    rng = np.random.default_rng(1)
    for _ in range(60):
        history, _, (thought, is_target) = history_task(rng, items_by_domain, teacher, 5.0)
        lines = [line for line in history[0].splitlines() if line.startswith("- ")]
        books, target_words = (line.partition(": ")[2].split(", ") for line in thought.strip().splitlines())
        pairs = [re.search(r"\| (\w+), (\w+) \|", line) for line in lines]
        counts = Counter(word for pair in pairs if pair for word in pair.groups())
        assert is_target and books == target_words == [word for word, _ in counts.most_common(3)]
        assert len(lines) >= BOOK_COUNTS[0]
