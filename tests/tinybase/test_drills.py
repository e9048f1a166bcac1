"""The questions of drills have the answers that their own text gives."""

import re

import numpy as np
import pytest

from kitrec.domains import LABELS
from kitrec.tinybase.drills import drill
from kitrec.tinybase.rehearsal import rehearsal_world
from kitrec.world.teacher import TemplateTeacher

LINE = re.compile(r"\(ID: ([A-Z]+)\) ([A-Z]\w+ [A-Z]\w+|Unknown)(?: \| (\w+), (\w+))?")


@pytest.fixture(scope="module")
def drills(miniature):
    world = rehearsal_world(5, 1, miniature.p)
    teacher = TemplateTeacher(world.themes, world.items)
    shelf = world.items.filter(world.items["domain"] == "movies").to_dicts()
    rng = np.random.default_rng(0)
    return [drill(rng, shelf, 8, 12, teacher, 5.0) for _ in range(60)]


def listed(pieces):
    """id -> (title, themes), read from the list's text."""
    return {item: (title, {a, b} - {""}) for item, title, a, b in LINE.findall(pieces[0][0])}


def test_a_list_and_then_question_and_answer_in_turn(drills):
    for pieces in drills:
        assert len(listed(pieces)) == 8
        assert [learned for _, learned in pieces] == [False, *([False, True] * 12)]


def test_every_answer_copies_a_line_of_the_list(drills):
    for pieces in drills:
        lines = listed(pieces)
        for answer, learned in pieces:
            for item, title, a, b in LINE.findall(answer) if learned else []:
                assert lines[item] == (title, {a, b} - {""})


def test_titles_and_themes_lead_to_a_best_line(drills):
    seen = set()
    for pieces in drills:
        lines = listed(pieces)
        for (question, _), (answer, _) in zip(pieces[1::2], pieces[2::2], strict=True):
            if "\n" in question:
                continue
            name, _, wanted = question.partition(": ")
            (_, title, *themes), *_ = LINE.findall(answer)
            if name == "Title":
                assert title == wanted
            else:
                asked = set(wanted.split(", "))
                assert name.removesuffix(" themes") in LABELS.values()
                assert len(asked & set(themes)) == max(len(asked & named) for _, named in lines.values())
            seen.add((name == "Title", wanted.count(",")))
    assert seen == {(True, 0), (False, 0), (False, 1), (False, 2)}


def test_readers_mostly_choose_what_their_history_shares(drills):
    shared = []
    for pieces in drills:
        lines = listed(pieces)
        for (question, _), (answer, _) in zip(pieces[1::2], pieces[2::2], strict=True):
            if question.startswith("- "):
                read = set(re.findall(r"\w+", " ".join(re.findall(r"\| (\w+, \w+)", question))))
                item = re.search(r"(?:ID: |item_id\": \")([A-Z]+)", answer)
                shared.append(len(lines[item[1]][1] & read))
    assert len(shared) > 50 and np.mean(shared) > 1.5
