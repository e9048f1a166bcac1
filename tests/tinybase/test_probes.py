"""The probes themselves, and the shipped base in them: it reads. Fewer readers than bench/reading.py, the same bars."""

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
def exam(shipped):
    return probes.held_out_probe_set(SEED, shipped, CANDIDATES, USERS)


@pytest.fixture(scope="module")
def reader():
    return probes.ProbedModel(BASE)


@pytest.fixture(scope="module")
def thinking(exam, reader):
    return reader.answers(exam.records.to_dicts(), exam.items, thinking=True)


def test_the_exam_was_never_trained_on(shipped):
    assert shipped.steps // STEPS_PER_WORLD < probes.HELD_OUT


def test_the_oracle_shares_ties():
    records = pl.DataFrame({"gt_item_id": ["a", "b", "c"], "candidate_ids": [["a", "b"], ["a", "b"], ["a", "c"]]})
    exam = probes.ProbeSet(records, {}, [[2.0, 2.0], [1.0, 3.0], [1.0, 0.0]])
    assert exam.oracle_hits().tolist() == [0.5, 1.0, 0.0]


def test_other_histories_leave_truth_and_candidates(exam):
    records = exam.records.to_dicts()
    for record, other in zip(records, probes.with_other_histories(records), strict=True):
        assert other["candidate_ids"] == record["candidate_ids"] and other["gt_item_id"] == record["gt_item_id"]
        assert other["source_items"] != record["source_items"]


def test_shuffled_candidates_are_the_same_ones(exam):
    records = exam.records.to_dicts()
    shuffled = probes.with_shuffled_candidates(records, 1)
    assert all(sorted(a["candidate_ids"]) == sorted(b["candidate_ids"]) for a, b in zip(records, shuffled, strict=True))
    assert any(a["candidate_ids"] != b["candidate_ids"] for a, b in zip(records, shuffled, strict=True))


def share_of_oracle(answers, exam):
    return probes.hit_at_1(answers, exam.records["gt_item_id"].to_list()) / exam.oracle_hits().mean()


def test_its_thoughts_reach_sixty_percent_of_the_oracle(exam, thinking):
    assert share_of_oracle(thinking, exam) >= 0.6 and probes.valid_share(thinking) >= 0.95


def test_its_direct_answers_reach_sixty_percent_of_the_oracle(exam, reader):
    answers = reader.answers(exam.records.to_dicts(), exam.items, thinking=False)
    assert share_of_oracle(answers, exam) >= 0.6 and probes.valid_share(answers) >= 0.95


def test_another_readers_history_changes_the_answer(exam, reader, thinking):
    others = reader.answers(probes.with_other_histories(exam.records.to_dicts()), exam.items, thinking=True)
    assert changed(thinking, others) >= 0.7


def test_another_order_of_the_candidates_mostly_does_not(exam, reader, thinking):
    others = reader.answers(probes.with_shuffled_candidates(exam.records.to_dicts(), SEED), exam.items, thinking=True)
    assert changed(thinking, others) <= 0.3


def changed(one, other):
    return np.mean([a != b for a, b in zip(probes.first_ids(one), probes.first_ids(other), strict=True)])


def test_it_looks_at_the_line_it_names(exam, thinking):
    records = exam.records.to_dicts()[:16]
    shares = attention_to_lines(BASE, records, exam.items)
    named = [
        record["candidate_ids"].index(item) if item in record["candidate_ids"] else None
        for record, item in zip(records, probes.first_ids(thinking), strict=False)
    ]
    looked = [row[line] for row, line in zip(shares, named, strict=True) if line is not None]
    assert len(looked) >= 14 and np.mean(looked) > 0.5  # one line of twenty; by chance 0.05
