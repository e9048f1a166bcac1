"""The probes themselves; how well the shipped base does in them is measured by bench/reading.py."""

from pathlib import Path

import polars as pl
import pytest

from kitrec.tinybase import probes
from kitrec.tinybase.lessons import STEPS_PER_WORLD

BASE = Path(__file__).resolve().parents[2] / "base" / "tiny-qwen3"
SEED, USERS, CANDIDATES = 42, 40, 10


@pytest.fixture(scope="module")
def exam(shipped):
    return probes.held_out_exam(SEED, shipped, CANDIDATES, USERS)


@pytest.fixture(scope="module")
def reader():
    return probes.Reader(BASE)


def test_the_exam_was_never_trained_on(shipped):
    assert shipped.steps // STEPS_PER_WORLD < probes.HELD_OUT


def test_the_oracle_shares_ties():
    records = pl.DataFrame({"gt_item_id": ["a", "b", "c"], "candidate_ids": [["a", "b"], ["a", "b"], ["a", "c"]]})
    exam = probes.Exam(records, {}, [[2.0, 2.0], [1.0, 3.0], [1.0, 0.0]])
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


def test_a_direct_answer_is_read_as_soon_as_its_id_is_there(exam, reader):
    records = exam.records.to_dicts()[:8]
    answers = reader.answers(records, exam.items, thinking=False)
    assert sum(answer.status != "no_json" for answer in answers) >= 7
