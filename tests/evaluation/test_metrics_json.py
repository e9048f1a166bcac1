import polars as pl

from kitrec.evaluation.metrics_json import comparisons_to_dict, effects_to_dict


def test_small_p_values_keep_their_digits_and_only_declared_pairs_are_kept():
    row = {"metric": "mrr", "method": "a", "other": "b", "n": 3, "difference": 0.12345678, "low": 0.1, "high": 0.2}
    row |= {
        "p_permutation": 1.23456e-12,
        "p_holm": 4.4444e-9,
        "effect": 0.5,
        "size": "medium",
        "mde": None,
        "stars": "***",
    }
    table = pl.DataFrame(
        [{**row, "declared": True}, {**row, "other": "c", "declared": False}], infer_schema_length=None
    )
    by_metric = comparisons_to_dict(table)
    assert list(by_metric) == ["mrr"] and list(by_metric["mrr"]) == ["a against b"]
    numbers = by_metric["mrr"]["a against b"]
    assert (
        numbers["p_permutation"] == 1.23e-12
        and numbers["trainings"] == 1
        and numbers["p_holm"] == 4.44e-9
        and numbers["difference"] == 0.123457
        and numbers["mde"] is None
    )


def test_effects_are_grouped_by_metric():
    rows = [
        {
            "metric": m,
            "contrast": c,
            "n": 3,
            "difference": 0.1,
            "low": 0.0,
            "high": 0.2,
            "p_permutation": 0.04,
            "effect": 0.3,
        }
        for m in ("mrr", "hit@1")
        for c in ("thinking", "interaction")
    ]
    by_metric = effects_to_dict(pl.DataFrame(rows))
    assert set(by_metric) == {"mrr", "hit@1"} and set(by_metric["mrr"]) == {"thinking", "interaction"}
