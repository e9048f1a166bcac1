import polars as pl
import pytest

from kitrec.evaluation.confidence import calibration, errors, stated


def answers(rows: list[tuple[float | None, float | None, bool]]) -> pl.DataFrame:
    return pl.DataFrame(
        [("m", *row) for row in rows],
        schema={"method": pl.String, "confidence": pl.Float64, "rating": pl.Float64, "right": pl.Boolean},
        orient="row",
    )


def test_both_scales_by_hand():
    """c 8, rating 5: half errs by 1, affine (1 + 7 * 4 / 9 = 4.111) by 0.889; c 10, rating 4: by 1 and 1."""
    found = errors(answers([(8.0, 5.0, True), (10.0, 4.0, False), (None, 4.0, True), (9.0, None, True)]))
    assert found["n"] == 4 and found["coverage"] == 0.5
    assert found["right"] == {"n": 1, "half": {"mae": 1.0, "rmse": 1.0}, "affine": {"mae": 0.888889, "rmse": 0.888889}}
    assert found["all"]["half"] == {"mae": 1.0, "rmse": 1.0}
    assert found["all"]["affine"]["mae"] == pytest.approx((8 / 9 + 1) / 2, abs=1e-6)


def test_of_nothing_there_is_no_error():
    found = errors(answers([(None, 4.0, True)]))
    assert found["coverage"] == 0.0 and found["all"] == {
        "n": 0,
        "half": {"mae": None, "rmse": None},
        "affine": {"mae": None, "rmse": None},
    }


def test_calibration_counts_every_stated_level():
    table = calibration(answers([(7.0, 4.0, True), (7.0, 2.0, False), (9.0, None, True), (None, 3.0, True)]))
    assert table.rows() == [("m", 7.0, 2, 0.5, 3.0), ("m", 9.0, 1, 1.0, None)]


def test_only_written_answers_state_anything(dataset):
    records = dataset.records["A"]["test"].head(2)
    rows = [
        {"method": "m", "record_id": r["record_id"], "kind": kind, "item_ids": ids, "confidence": 6.0}
        for r in records.iter_rows(named=True)
        for kind, ids in (("written", [r["gt_item_id"]]), ("scored", [r["gt_item_id"]]))
    ]
    found = stated(pl.DataFrame(rows), records)
    assert found.height == 2 and found["right"].all() and found["rating"].equals(records["gt_rating"].alias("rating"))
