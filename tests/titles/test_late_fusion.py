"""Late fusion on hand-made rankings. Reference: z-scores and rankings by hand."""

import numpy as np
import polars as pl
import pytest

from kitrec.core.errors import InputError
from kitrec.schemas.rankings import from_scores
from kitrec.titles.late_fusion import choose_weight, standardise

RECORDS = pl.DataFrame(
    {
        "record_id": ["r1", "r2"],
        "candidate_hash": ["h1", "h2"],
        "candidate_ids": [["a", "b", "c"], ["b", "d"]],
        "gt_item_id": ["b", "d"],
    }
)


def ranked(*scores: list[float]) -> pl.DataFrame:
    """Return rankings, whose items come in another order than the record's and whose records come reversed."""
    return from_scores("m", RECORDS, list(scores)).reverse()


def test_scores_are_standardised_within_a_record_and_follow_its_candidates():
    scores = standardise(RECORDS, ranked([1, 2, 3], [5, 5]), ranked([300, 200, 100], [0, 8]))
    z = np.sqrt(1.5)
    assert scores.recommender[0] == pytest.approx([-z, 0, z]) and scores.titles[0] == pytest.approx([z, 0, -z])
    assert scores.recommender[1].tolist() == [0, 0] and scores.titles[1].tolist() == [-1, 1]
    first, second = scores.fused(0.25)
    assert first == pytest.approx([-z / 2, 0, z / 2]) and second.tolist() == [-0.25, 0.25]


def test_titles_count_as_far_as_they_help_the_development_users():
    helpful = standardise(RECORDS, ranked([2, 1.9, 0], [1, 1]), ranked([0, 3, 1], [0, 1]))
    chosen = choose_weight(RECORDS, helpful)
    assert chosen["title_weight"] == 0.1 and chosen["ndcg@10"] == 1.0
    assert chosen["ndcg@10_at_0.0"] < 1.0 and chosen["ndcg@10_at_1.0"] == 1.0
    harmful = standardise(RECORDS, ranked([0, 9, 1], [0, 1]), ranked([5, 1, 3], [1, 0]))
    assert choose_weight(RECORDS, harmful)["title_weight"] == 0.0


def test_rankings_of_other_records_are_refused():
    other = RECORDS.with_columns(candidate_ids=pl.Series([["a", "b", "x"], ["b", "d"]]))
    with pytest.raises(InputError, match="a ranking lacks 1 candidates of these records: rank them again"):
        standardise(RECORDS, ranked([1, 2, 3], [1, 2]), from_scores("m", other, [[1, 2, 3], [1, 2]]))
