import polars as pl

from kitrec.evaluation.metrics_json import by_effect, declared


def test_small_p_values_keep_their_digits_and_only_declared_pairs_are_told():
    row = {"metric": "mrr", "method": "a", "other": "b", "n": 3, "difference": 0.12345678, "low": 0.1, "high": 0.2}
    row |= {"p": 1.23456e-12, "p_holm": 4.4444e-9, "effect": 0.5, "size": "medium", "mde": None, "stars": "***"}
    table = pl.DataFrame(
        [{**row, "declared": True}, {**row, "other": "c", "declared": False}], infer_schema_length=None
    )
    found = declared(table)
    assert list(found) == ["mrr"] and list(found["mrr"]) == ["a against b"]
    told = found["mrr"]["a against b"]
    assert (
        told["p"] == 1.23e-12 and told["p_holm"] == 4.44e-9 and told["difference"] == 0.123457 and told["mde"] is None
    )


def test_effects_stand_under_their_metric():
    rows = [
        {"metric": m, "of": of, "n": 3, "difference": 0.1, "low": 0.0, "high": 0.2, "p": 0.04, "effect": 0.3}
        for m in ("mrr", "hit@1")
        for of in ("thinking", "interaction")
    ]
    found = by_effect(pl.DataFrame(rows))
    assert set(found) == {"mrr", "hit@1"} and set(found["mrr"]) == {"thinking", "interaction"}
