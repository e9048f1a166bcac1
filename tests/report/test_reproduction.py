"""How far a run reproduces others: equal numbers, numbers within the spread of repeats, different experiments."""

import numpy as np
import pytest
from scipy import stats

from kitrec.report.reproduction import compare_numbers, equal_outs, other_terms, spread


def made_run(hit: float, seed: int = 1, code: str = "c1", **params: object) -> dict:
    values = {"seed": seed, "a.b": 2, **params}
    return {
        "code": {"stages": {"evaluate": code}},
        "params": {"values": values},
        "seeds": {"seed": seed},
        "data": {"inputs": {"raw": "r"}, "outs": {"models/base/base.json": "b", "data/scores": str(hit)}},
        "results": {"metrics/evaluate.json": {"m": {"n": 600, "hit@1": hit, "stars": "*", "few": True, "p": None}}},
    }


def agreements(runs: list[dict], other: dict) -> dict[str, str]:
    return {each.name: each.agreement for each in compare_numbers(runs, other, "metrics/", 0.95)}


def test_one_run_is_reproduced_by_equal_numbers_alone():
    assert agreements([made_run(0.25)], made_run(0.25)) == {
        "metrics/evaluate.json: m.n": "to the byte",
        "metrics/evaluate.json: m.hit@1": "to the byte",
    }
    assert agreements([made_run(0.25)], made_run(0.250001))["metrics/evaluate.json: m.hit@1"] == "not"


def test_the_interval_of_three_repeats_is_that_worked_out_by_hand():
    low, high = spread(np.array([0.2, 0.3, 0.25]), 0.95)
    half = 4.302653 * 0.05 * np.sqrt(4 / 3)  # t of two degrees of freedom, s = .05
    assert (low, high) == pytest.approx((0.25 - half, 0.25 + half), abs=1e-6)


@pytest.mark.parametrize(("value", "agreement"), [(0.60, "within the spread"), (0.62, "not")])
def test_repeats_give_a_spread_at_the_level_of_all_numbers_together(value, agreement):
    # t(2) at 1 - .05/2 for either of two numbers is 6.205, the interval .25 ± .358; at .95 it would be ± .248
    runs = [made_run(hit, seed) for seed, hit in enumerate((0.2, 0.3, 0.25))]
    compared = agreements(runs, made_run(value, 9))
    assert compared["metrics/evaluate.json: m.hit@1"] == agreement
    assert compared["metrics/evaluate.json: m.n"] == "to the byte"


def test_one_more_run_of_the_same_kind_lies_in_the_spread_as_often_as_it_says():
    drawn = np.random.default_rng(3).normal(0.3, 0.02, (4000, 4))
    inside = np.mean([low <= run[3] <= high for run in drawn for low, high in [spread(run[:3], 0.9)]])
    assert stats.binomtest(int(inside * 4000), 4000, 0.9).pvalue > 0.01


@pytest.mark.parametrize("shared", [0.0, 0.9])  # share of a number's variance that all numbers have in common
def test_an_honest_repeat_passes_with_all_its_numbers_as_often_as_the_level_says(shared):
    rng, times, numbers = np.random.default_rng(8), 300, 40
    passed = 0
    for _ in range(times):
        noise = np.sqrt(shared) * rng.normal(size=(6, 1)) + np.sqrt(1 - shared) * rng.normal(size=(6, numbers))
        metrics = [{f"m{k}": value for k, value in enumerate(row)} for row in (0.3 + 0.02 * noise).tolist()]
        *runs, other = [made_run(0.25) | {"results": {"metrics/evaluate.json": each}} for each in metrics]
        passed += "not" not in agreements(runs, other).values()
    assert stats.binomtest(passed, times, 0.95, alternative="less").pvalue > 0.01
    assert shared or passed < times  # and is not sure to pass


def test_repeats_that_never_differ_ask_for_the_same_value():
    runs = [made_run(0.25, seed) for seed in range(3)]
    assert agreements(runs, made_run(0.2501))["metrics/evaluate.json: m.hit@1"] == "not"


def test_a_number_that_the_other_run_lacks_is_missing_and_other_files_do_not_count():
    other = made_run(0.25)
    other["results"] = {}
    assert set(agreements([made_run(0.25)], other).values()) == {"missing"}
    assert compare_numbers([made_run(0.25)], other, "metrics/judge", 0.95) == []


def test_seeds_may_differ_and_code_params_inputs_and_base_may_not():
    assert other_terms(made_run(0.25), made_run(0.3, seed=7)) == []
    changed = made_run(0.25, code="c2") | {"params": {"values": {"seed": 1, "a.b": 3}}}
    changed["data"]["inputs"], changed["data"]["outs"]["models/base/base.json"] = {"raw": "s"}, "other"
    differing = ["code of evaluate", "param a.b", "input raw", "base models/base/base.json"]
    assert other_terms(made_run(0.25), changed) == differing


def test_stages_that_one_machine_did_not_run_are_no_difference():
    other = made_run(0.25)
    other["code"]["stages"]["judge"] = "j"
    assert other_terms(made_run(0.25), other) == []


def test_equal_outs_are_told_by_their_hashes():
    assert equal_outs(made_run(0.25), made_run(0.3)) == (["models/base/base.json"], ["data/scores"])
