import polars as pl
import pytest

from kitrec.evaluation.bootstrap import Resampling
from kitrec.evaluation.calibration import ERRORS, calibration_curve, calibration_errors, stated_confidence

DRAWN = Resampling(200, seed=1)


def answers(rows: list[tuple[float | None, float | None, bool]]) -> pl.DataFrame:
    return pl.DataFrame(
        [("m", *row) for row in rows],
        schema={"method": pl.String, "confidence": pl.Float64, "rating": pl.Float64, "correct": pl.Boolean},
        orient="row",
    ).with_columns(user_id=pl.Series([f"U{k}" for k in range(len(rows))]))


def point(errors: dict[str, float | None]) -> dict[str, float | None]:
    return {name: errors[name] for name in ("mae", "rmse")}


def test_errors_on_both_scales_match_values_worked_by_hand():
    """c 8, rating 5: halved errs by 1, affine (1 + 7 * 4 / 9 = 4.111) by 0.889; c 10, rating 4: by 1 and 1."""
    result = calibration_errors(
        answers([(8.0, 5.0, True), (10.0, 4.0, False), (None, 4.0, True), (9.0, None, True)]), resampling=DRAWN
    )
    assert result["n"] == 4 and result["coverage"] == 0.5
    assert result["correct"]["n"] == 1
    assert point(result["correct"]["halved"]) == {"mae": 1.0, "rmse": 1.0}
    assert point(result["correct"]["affine"]) == {"mae": 0.888889, "rmse": 0.888889}
    assert point(result["all"]["halved"]) == {"mae": 1.0, "rmse": 1.0}
    assert result["all"]["affine"]["mae"] == pytest.approx((8 / 9 + 1) / 2, abs=1e-6)


def test_errors_over_no_answers_are_null():
    result = calibration_errors(answers([(None, 4.0, True)]), resampling=DRAWN)
    assert result["coverage"] == 0.0 and result["all"] == {
        "n": 0,
        "halved": dict.fromkeys(ERRORS),
        "affine": dict.fromkeys(ERRORS),
    }


def test_the_curve_counts_every_stated_level():
    table = calibration_curve(answers([(7.0, 4.0, True), (7.0, 2.0, False), (9.0, None, True), (None, 3.0, True)]))
    assert table.rows() == [("m", 7.0, 2, 0.5, 3.0), ("m", 9.0, 1, 1.0, None)]


def test_only_written_answers_state_a_confidence(dataset):
    records = dataset.records["A"]["test"].head(2)
    rows = [
        {"method": "m", "record_id": r["record_id"], "kind": kind, "item_ids": ids, "confidence": 6.0}
        for r in records.iter_rows(named=True)
        for kind, ids in (("written", [r["gt_item_id"]]), ("scored", [r["gt_item_id"]]))
    ]
    result = stated_confidence(pl.DataFrame(rows), records)
    assert (
        result.height == 2 and result["correct"].all() and result["rating"].equals(records["gt_rating"].alias("rating"))
    )
