"""Batches depend on seed and step alone, and know nothing of any world that an experiment runs in."""

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
    batches = [miniature.curriculum.batch(step) for step in STEPS]
    return [miniature.tokenizer.decode(row) for batch in batches for row in batch.input_ids]


def test_a_batch_does_not_depend_on_earlier_steps(miniature):
    fresh = Curriculum(5, miniature.p, Encoder(miniature.tokenizer), miniature.tokenizer.pad_token_id)
    for step in reversed(STEPS):
        first, second = miniature.curriculum.batch(step), fresh.batch(step)
        assert first.task == second.task
        assert torch.equal(first.input_ids, second.input_ids) and torch.equal(first.loss_mask, second.loss_mask)


def test_a_batch_is_full_and_padding_is_masked(miniature):
    for step in STEPS:
        batch = miniature.curriculum.batch(step)
        assert batch.n_tokens >= miniature.p.batch_tokens
        assert not batch.loss_mask[batch.input_ids == miniature.tokenizer.pad_token_id].any()
        assert batch.loss_mask.any(dim=1).all()


def test_phases_follow_each_other(miniature):
    assert [miniature.p.phase_at(step) for step in (1, 6)] == [miniature.p.phases[0]] * 2
    assert miniature.p.phase_at(7) == miniature.p.phases[1] and miniature.p.phase_at(12) == miniature.p.phases[1]


def test_all_tasks_occur(miniature):
    assert {miniature.curriculum.batch(step).task for step in STEPS} == {"lists", "histories", "prompts"}


def test_no_title_and_no_map_of_another_world_occurs(texts, world):
    text = "\n".join(texts)
    titles = set(world.items["title"].drop_nulls())
    assert not titles & set(re.findall(r"[A-Z]\w+ [A-Z]\w+", text))
    links = re.findall(r"(\w+) follows (\w+)", text)
    assert links and all(here == there for here, there in links)


def test_the_default_world_differs_from_the_rehearsal_worlds(shipped):
    users = Users(train=2, preference=1, test=1, development_share=0.5, min_source_items=5, cut=False)
    real = build_world(42, shipped.world, users.per_type)
    rehearsal = build_world(42, shipped.world, users.per_type, rehearsal=True)
    assert not set(real.items["title"].drop_nulls()) & set(rehearsal.items["title"].drop_nulls())
    words = real.themes
    assert not set(words["books"]) & set(words["movies"]) and rehearsal.themes["books"] == rehearsal.themes["movies"]
