import numpy as np
import polars as pl
import pytest
from scipy import stats

from kitrec.core import tables
from kitrec.core.domains import CORES, KITREC
from kitrec.core.errors import InputError
from kitrec.evaluation.comparisons import comparisons
from kitrec.evaluation.contrasts import ablation
from kitrec.evaluation.params import Ablation, Family
from kitrec.evaluation.score_matrix import score_matrix
from kitrec.evaluation.strata import ALL
from kitrec.evaluation.strata_means import means_by_core, means_by_set, overall_means, strata_means
from kitrec.schemas.comparisons import COMPARISONS
from kitrec.schemas.scores import METRICS, SCORES
from kitrec.schemas.strata_means import STRATA_MEANS

USERS = 240
FAMILY = Family(kind="scored", metrics=["hit@1", "mrr"], pairs=[("b", "a"), ("b", "c")])


def scores(methods: dict[str, np.ndarray], kind: str = "scored", owners: list[str] | None = None) -> pl.DataFrame:
    """A scores table whose every metric of a method is the same array."""
    names, types = [f"U{k:04d}" for k in range(USERS)], list(KITREC.user_types)
    frames = [
        pl.DataFrame(
            {
                "method": method,
                "record_id": names,
                "kind": kind,
                "user_id": owners or names,
                "target": [KITREC.user_types[types[k % 10]].target for k in range(USERS)],
                "user_type": [types[k % 10] for k in range(USERS)],
                "user_category": [KITREC.user_types[types[k % 10]].category for k in range(USERS)],
                "core": [CORES[k % 6] for k in range(USERS)],
                "gt_has_metadata": [k % 7 > 0 for k in range(USERS)],
                "candidate_hash": [f"h{k}" for k in range(USERS)],
                **dict.fromkeys(METRICS, values),
            }
        )
        for method, values in methods.items()
    ]
    return pl.concat(frames).select(*SCORES.columns)


def hits(seed: int, share: float) -> np.ndarray:
    return (np.random.default_rng(seed).random(USERS) < share).astype(float)


@pytest.fixture
def three() -> dict[str, np.ndarray]:
    return {"a": hits(1, 0.2), "b": hits(2, 0.5), "c": hits(3, 0.25)}


def test_every_stratum_has_the_mean_of_its_users_and_an_interval_around_it(three, tmp_path):
    table = scores(three)
    result = strata_means(score_matrix(table), resamples=200, min_users=50, seed=1)
    tables.write(result, tmp_path / "means.parquet", STRATA_MEANS)
    strata = {"user_type": "user_type", "user_category": "user_category", "domain": "target", "core": "core"}
    for stratum, column in (strata | {"truth_metadata": "gt_has_metadata"}).items():
        members = set(table[column])
        rows = result.filter((pl.col("stratum") == stratum) & (pl.col("metric") == "mrr") & (pl.col("method") == "b"))
        assert rows["n"].sum() == USERS and rows.height == len(members)
        means = dict(table.filter(pl.col("method") == "b").group_by(column).agg(pl.col("mrr").mean()).iter_rows())
        assert {str(key).lower(): value for key, value in means.items()} == pytest.approx(
            dict(zip(rows["member"], rows["mean"], strict=True))
        ) or (stratum == "user_type" and len(means) == rows.height)
    overall = result.filter(pl.col("stratum") == ALL)
    assert (overall["high"] - overall["low"]).min() > 0
    assert not overall["few"].any() and result.filter(pl.col("stratum") == "user_type")["few"].all()
    width = overall.filter(pl.col("method") == "b")["high"][0] - overall.filter(pl.col("method") == "b")["low"][0]
    assert width == pytest.approx(2 * 1.96 * np.sqrt(0.25 / USERS), rel=0.15)  # of a share of one half


def test_the_plot_has_every_core_of_every_domain(three):
    plot = means_by_core(strata_means(score_matrix(scores(three)), resamples=100, min_users=1, seed=1), "hit@10")
    assert (
        plot["n"].sum() == 3 * USERS and set(plot["target"]) == {"movies", "music"} and set(plot["core"]) == set(CORES)
    )
    assert (plot["low"] <= plot["hit@10"]).all() and (plot["hit@10"] <= plot["high"]).all()


def test_the_plot_of_the_sets_has_the_means_and_intervals_of_each_set(three):
    other = {name: 1 - values for name, values in three.items()}
    means = strata_means(score_matrix(scores(three)), resamples=100, min_users=1, seed=1)
    other_means = overall_means(score_matrix(scores(other)), resamples=100, min_users=1, seed=1)
    plot = means_by_set({"B": other_means, "A": means}, ("hit@10", "ndcg@10"))
    assert plot["set"].to_list() == ["A"] * 6 + ["B"] * 6 and set(plot["metric"]) == {"hit@10", "ndcg@10"}
    for name, values in three.items():
        rows = plot.filter(method=name, metric="hit@10")
        assert rows["mean"].to_list() == pytest.approx([values.mean(), 1 - values.mean()], abs=1e-6)
    assert overall_means(score_matrix(scores(three)), resamples=100, min_users=1, seed=1).equals(
        means.filter(stratum=ALL)
    )
    assert means_by_set({"A": means}, ("hit@10",)).height == 3


def test_users_with_two_records_are_resampled_with_both():
    """Twins with equal scores are as uncertain as half as many users: the interval is sqrt(2) times as wide."""
    values = np.repeat(hits(5, 0.5)[: USERS // 2], 2)
    single = strata_means(score_matrix(scores({"a": values})), resamples=2000, min_users=1, seed=1)
    twins = [f"T{k // 2}" for k in range(USERS)]
    paired = strata_means(score_matrix(scores({"a": values}, owners=twins)), resamples=2000, min_users=1, seed=1)
    width = [(t.filter(stratum=ALL)["high"] - t.filter(stratum=ALL)["low"])[0] for t in (single, paired)]
    assert width[1] / width[0] == pytest.approx(np.sqrt(2), rel=0.1)


def test_declared_comparisons_keep_their_direction_and_only_they_are_corrected(three, tmp_path):
    result = comparisons(score_matrix(scores(three)), FAMILY, resamples=300, permutations=300, seed=1, answer_items={})
    tables.write(result, tmp_path / "c.parquet", COMPARISONS)
    assert result.height == 3 * len(METRICS)
    row = result.row(
        by_predicate=(pl.col("metric") == "mrr") & (pl.col("method") == "b") & (pl.col("other") == "a"), named=True
    )
    assert row["difference"] == pytest.approx(three["b"].mean() - three["a"].mean())
    assert row["low"] < row["difference"] < row["high"] and row["stars"] == "***"
    declared = result.filter("declared")
    assert declared.height == 4 and result.filter(~pl.col("declared"))["p_holm"].null_count() == result.height - 4
    p = np.sort(declared["p_permutation"].to_numpy())
    holm = np.minimum(1, np.maximum.accumulate(p * np.arange(4, 0, -1)))
    assert np.sort(declared["p_holm"].to_numpy()) == pytest.approx(holm)
    assert declared["p_bonferroni"].to_numpy() == pytest.approx(np.minimum(1, 4 * declared["p_permutation"].to_numpy()))


def test_intervals_and_tests_use_the_same_difference_if_users_have_several_records(three):
    """Twenty users with eleven records each, the others with one: effect and difference use the same values."""
    owners = [f"T{k % 20}" if k < 220 else f"U{k}" for k in range(USERS)]
    m = score_matrix(scores(three, owners=owners))
    result = comparisons(m, FAMILY, resamples=200, permutations=200, seed=1, answer_items={})
    result = result.filter(metric="mrr", method="b", other="a")
    difference = three["b"] - three["a"]
    sums = pl.DataFrame({"who": owners, "d": difference}).group_by("who").agg(pl.col("d").sum())["d"].to_numpy()
    per_user = sums * len(sums) / USERS
    assert result["difference"][0] == pytest.approx(difference.mean()) == pytest.approx(per_user.mean())
    assert result["effect"][0] == pytest.approx(per_user.mean() / per_user.std(ddof=1))


def test_a_user_with_two_records_is_one_unit_of_the_test(three):
    """Records doubled within their users say nothing new; as users of their own they would halve the variance."""
    half = {name: np.repeat(values[: USERS // 2], 2) for name, values in three.items()}
    drawn = {"resamples": 100, "permutations": 4000, "seed": 1, "answer_items": {}}
    p = {}
    for unit, owners in (("user", [f"T{k // 2}" for k in range(USERS)]), ("record", None)):
        compared = comparisons(score_matrix(scores(half, owners=owners)), FAMILY, **drawn)
        row = compared.filter(metric="mrr", method="a", other="c")
        p[unit] = row["p_permutation"][0]
        assert row["n"][0] == (USERS // 2 if unit == "user" else USERS)
    single = (three["a"] - three["c"])[: USERS // 2]
    exact = stats.binomtest(int((single > 0).sum()), int((single != 0).sum())).pvalue  # of hits: a sign test
    assert p["user"] == pytest.approx(exact, abs=0.03) and p["record"] < p["user"]


def test_comparing_a_method_with_its_copy_gives_p_1_in_every_test(three):
    result = comparisons(
        score_matrix(scores({"a": three["a"], "b": three["a"], "c": three["a"]})),
        FAMILY,
        resamples=100,
        permutations=100,
        seed=1,
        answer_items={},
    )
    for name in ("p_t", "p_wilcoxon", "p_permutation"):
        assert (result[name] == 1).all()
    assert (result["effect"] == 0).all() and (result["stars"] == "").all()
    assert result["low"].to_list() == result["high"].to_list() == [0.0] * result.height


def test_written_answers_of_different_numbers_of_items_are_compared_in_their_first_item_alone(three):
    family = Family(kind="written", metrics=["hit@1"], pairs=[("a", "b")])
    both = pl.concat([scores(three), scores(three, kind="written")])
    items = {"a": 1, "b": 10, "c": 1}
    drawn = {"resamples": 100, "permutations": 100, "seed": 1}
    result = comparisons(score_matrix(both), family, answer_items=items, **drawn)
    compared = {pair: set(part["metric"]) for pair, part in result.group_by("kind", "method", "other")}
    assert compared["written", "a", "b"] == compared["written", "b", "c"] == {"hit@1"}
    assert compared["written", "a", "c"] == compared["scored", "a", "b"] == set(METRICS)
    assert result.filter("declared").height == 1


def test_methods_with_other_records_or_lists_are_refused(three):
    table = scores(three)
    for other in (
        table.filter(~((pl.col("method") == "b") & (pl.col("record_id") == "U0003"))),
        table.with_columns(
            candidate_hash=pl.when((pl.col("method") == "c") & (pl.col("record_id") == "U0003"))
            .then(pl.lit("x"))
            .otherwise("candidate_hash")
        ),
    ):
        with pytest.raises(InputError, match="other records or candidates than a does"):
            score_matrix(other)


def test_an_unknown_method_in_the_family_is_reported(three):
    family = Family(kind="scored", metrics=["mrr"], pairs=[("b", "oracle")])
    with pytest.raises(InputError, match="oracle has no scored ranking"):
        comparisons(score_matrix(scores(three)), family, resamples=100, permutations=100, seed=1, answer_items={})


def test_main_effects_and_interaction_match_values_worked_by_hand():
    """Means .6 .4 .3 .3: fine-tuning (.6 + .4 - .3 - .3) / 2 = .2, thinking .1, interaction .2."""
    table = scores({name: np.full(USERS, mean) for name, mean in zip("wxyz", (0.6, 0.4, 0.3, 0.3), strict=True)})
    p = Ablation(kind="scored", metrics=["hit@1"], methods=["w", "x", "y", "z"])
    result = ablation(score_matrix(table), p, resamples=100, permutations=100, seed=1)
    assert dict(zip(result["contrast"], result["difference"], strict=True)) == pytest.approx(
        {"fine-tuning": 0.2, "thinking": 0.1, "interaction": 0.2}
    )
    assert result["t"].null_count() == 3  # all users differ alike: no finite t, and no NaN


@pytest.mark.parametrize("methods", [["w"], ["w", "x", "y", "y"]])
def test_an_incomplete_2x2_is_refused(methods):
    with pytest.raises(ValueError, match="four different ones"):
        Ablation(kind="scored", metrics=["hit@1"], methods=methods)
