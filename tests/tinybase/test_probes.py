"""The probes, and the results of the shipped base: fewer users than bench/reading.py, the same thresholds."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from kitrec.tinybase import probes
from kitrec.tinybase.attention_probe import attention_to_lines
from kitrec.tinybase.curriculum import STEPS_PER_WORLD

BASE = Path(__file__).resolve().parents[2] / "base" / "tiny-qwen3"
SEED, USERS, CANDIDATES = 42, 48, 20


@pytest.fixture(scope="module")
def probe_set(shipped):
    return probes.held_out_probe_set(SEED, shipped, CANDIDATES, USERS)


@pytest.fixture(scope="module")
def model():
    return probes.ProbedModel(BASE)


@pytest.fixture(scope="module")
def thinking(probe_set, model):
    return model.answers(probe_set.records.to_dicts(), probe_set.items, thinking=True)


def test_the_probe_set_is_not_in_the_training_data(shipped):
    assert shipped.steps // STEPS_PER_WORLD < probes.HELD_OUT


def test_oracle_hits_are_shared_among_ties():
    records = pl.DataFrame({"gt_item_id": ["a", "b", "c"], "candidate_ids": [["a", "b"], ["a", "b"], ["a", "c"]]})
    probe_set = probes.ProbeSet(records, {}, [[2.0, 2.0], [1.0, 3.0], [1.0, 0.0]])
    assert probe_set.oracle_hits().tolist() == [0.5, 1.0, 0.0]


def test_other_histories_leave_ground_truth_and_candidates(probe_set):
    records = probe_set.records.to_dicts()
    for record, second in zip(records, probes.with_other_histories(records), strict=True):
        assert second["candidate_ids"] == record["candidate_ids"] and second["gt_item_id"] == record["gt_item_id"]
        assert second["source_items"] != record["source_items"]


def test_shuffled_candidates_are_the_same_ones(probe_set):
    records = probe_set.records.to_dicts()
    shuffled = probes.with_shuffled_candidates(records, 1)
    assert all(sorted(a["candidate_ids"]) == sorted(b["candidate_ids"]) for a, b in zip(records, shuffled, strict=True))
    assert any(a["candidate_ids"] != b["candidate_ids"] for a, b in zip(records, shuffled, strict=True))


def share_of_oracle(answers, probe_set):
    return probes.hit_at_1(answers, probe_set.records["gt_item_id"].to_list()) / probe_set.oracle_hits().mean()


def test_thinking_answers_reach_sixty_percent_of_the_oracle(probe_set, thinking):
    assert share_of_oracle(thinking, probe_set) >= 0.6 and probes.valid_share(thinking) >= 0.95


def test_direct_answers_reach_sixty_percent_of_the_oracle(probe_set, model):
    answers = model.answers(probe_set.records.to_dicts(), probe_set.items, thinking=False)
    assert share_of_oracle(answers, probe_set) >= 0.6 and probes.valid_share(answers) >= 0.95


def test_another_history_changes_most_answers(probe_set, model, thinking):
    others = model.answers(probes.with_other_histories(probe_set.records.to_dicts()), probe_set.items, thinking=True)
    assert share_changed(thinking, others) >= 0.7


def test_another_candidate_order_changes_few_answers(probe_set, model, thinking):
    others = model.answers(
        probes.with_shuffled_candidates(probe_set.records.to_dicts(), SEED), probe_set.items, thinking=True
    )
    assert share_changed(thinking, others) <= 0.3


def share_changed(first, second):
    return np.mean([a != b for a, b in zip(probes.first_ids(first), probes.first_ids(second), strict=True)])


def test_attention_is_on_the_line_of_the_named_item(probe_set, thinking):
    records = probe_set.records.to_dicts()[:16]
    shares = attention_to_lines(BASE, records, probe_set.items)
    named = [
        record["candidate_ids"].index(item) if item in record["candidate_ids"] else None
        for record, item in zip(records, probes.first_ids(thinking), strict=False)
    ]
    attended = [row[line] for row, line in zip(shares, named, strict=True) if line is not None]
    assert len(attended) >= 14 and np.mean(attended) > 0.5  # first line of twenty; by chance 0.05
