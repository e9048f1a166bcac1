"""Curriculum depend on seed and step alone, and know nothing of any world that an experiment runs in."""

import re

import pytest
import torch

from kitrec.preprocessing.params import Users
from kitrec.prompts.tokens import Encoder
from kitrec.synthetic.build import build_world
from kitrec.tinybase.curriculum import Curriculum

STEPS = range(1, 13)


@pytest.fixture(scope="module")
def texts(miniature):
    lessons = [miniature.lessons.lesson(step) for step in STEPS]
    return [miniature.tokenizer.decode(row) for lesson in lessons for row in lesson.ids]


def test_a_step_is_the_same_whatever_came_before(miniature):
    fresh = Curriculum(5, miniature.p, Encoder(miniature.tokenizer), miniature.tokenizer.pad_token_id)
    for step in reversed(STEPS):
        one, other = miniature.lessons.lesson(step), fresh.lesson(step)
        assert one.name == other.name
        assert torch.equal(one.ids, other.ids) and torch.equal(one.learned, other.learned)


def test_a_lesson_is_full_and_padding_is_never_learned(miniature):
    for step in STEPS:
        lesson = miniature.lessons.lesson(step)
        assert lesson.tokens >= miniature.p.batch_tokens
        assert not lesson.learned[lesson.ids == miniature.tokenizer.pad_token_id].any()
        assert lesson.learned.any(dim=1).all()


def test_phases_follow_each_other(miniature):
    assert [miniature.p.phase_at(step) for step in (1, 6)] == [miniature.p.phases[0]] * 2
    assert miniature.p.phase_at(7) == miniature.p.phases[1] and miniature.p.phase_at(12) == miniature.p.phases[1]


def test_every_kind_of_lesson_comes(miniature):
    assert {miniature.lessons.lesson(step).name for step in STEPS} == {"lists", "histories", "prompts"}


def test_no_title_and_no_map_of_another_world_can_be_learned(texts, world):
    everything = "\n".join(texts)
    titles = set(world.items["title"].drop_nulls())
    assert not titles & set(re.findall(r"[A-Z]\w+ [A-Z]\w+", everything))
    links = re.findall(r"(\w+) follows (\w+)", everything)
    assert links and all(here == there for here, there in links)


def test_the_default_world_is_none_of_the_rehearsal_worlds(shipped):
    users = Users(train=2, preference=1, test=1, development_share=0.5)
    real = build_world(42, shipped.world, users.per_type)
    rehearsal = build_world(42, shipped.world, users.per_type, rehearsal=True)
    assert not set(real.items["title"].drop_nulls()) & set(rehearsal.items["title"].drop_nulls())
    words = real.themes
    assert not set(words["books"]) & set(words["movies"]) and rehearsal.themes["books"] == rehearsal.themes["movies"]
