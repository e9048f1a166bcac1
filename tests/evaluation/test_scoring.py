import polars as pl
import pytest

from kitrec.core import tables
from kitrec.core.domains import core_label
from kitrec.core.errors import InputError
from kitrec.evaluation.scoring import score
from kitrec.evaluation.summary import summarise, summarise_strata
from kitrec.schemas.rankings import RANKINGS, from_scores
from kitrec.schemas.scores import METRICS, SCORES


@pytest.fixture
def records(dataset) -> pl.DataFrame:
    return pl.concat([dataset.records["A"][role] for role in ("train", "test")])


def written(records: pl.DataFrame, lists: list[list[str]], method: str = "m") -> pl.DataFrame:
    flat = from_scores(method, records, [[0.0] * 20] * records.height)
    return flat.with_columns(
        pl.lit("written").alias("kind"),
        pl.Series("item_ids", lists, dtype=pl.List(pl.String)),
        pl.lit(None, dtype=pl.List(pl.Float64)).alias("scores"),
    )


def test_written_lists_score_by_rank_and_missing_items_zero(records):
    lists = []
    for k, r in enumerate(records.iter_rows(named=True)):
        others = [i for i in r["candidate_ids"] if i != r["gt_item_id"]]
        lists.append([[r["gt_item_id"]], ["FAKE"] * 9 + [r["gt_item_id"]], others[:5], []][k % 4])
    got = score(written(records, lists), records)
    assert got["mrr"].to_list() == pytest.approx([[1.0, 0.1, 0.0, 0.0][k % 4] for k in range(records.height)])


def test_written_and_scored_rankings_stay_apart(records, tmp_path):
    both = pl.concat(
        [written(records, records["candidate_ids"].to_list()), from_scores("m", records, [[0.0] * 20] * records.height)]
    )
    got = score(both, records)
    assert sorted(got["kind"].unique()) == ["scored", "written"] and got.height == 2 * records.height
    tables.write(got, tmp_path / "scores.parquet", SCORES)


def test_scored_rankings_are_ordered_best_first_and_keep_ties(records, tmp_path):
    ranked = from_scores("m", records, [[1.0, 3.0, 2.0, 3.0] + [0.0] * 16] * records.height)
    tables.write(ranked, tmp_path / "rankings.parquet", RANKINGS)
    first, ids = ranked.row(0, named=True), records["candidate_ids"][0].to_list()
    assert first["item_ids"][:4] == [ids[1], ids[3], ids[2], ids[0]] and first["scores"][:4] == [3, 3, 2, 1]


def test_rankings_of_other_candidates_are_refused(records):
    ranked = from_scores("m", records, [[0.0] * 20] * records.height)
    changed = ranked.with_columns(candidate_hash=pl.lit("other"))
    with pytest.raises(InputError, match="made for other candidates"):
        score(changed, records)


def test_a_method_that_misses_records_is_refused(records):
    ranked = from_scores("m", records, [[0.0] * 20] * records.height)
    with pytest.raises(InputError, match=f"ranks {records.height - 1} of {records.height} records"):
        score(ranked.head(-1), records)
    with pytest.raises(InputError, match="not under test"):
        score(ranked, records.head(-1))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), None])
def test_a_score_that_is_no_number_is_refused(records, bad):
    values = [[0.0] * 20 for _ in range(records.height)]
    values[3][2] = bad
    with pytest.raises(InputError, match="missing, NaN or infinite"):
        from_scores("m", records, values)


def test_strata_sizes_sum_to_n(records):
    scores = score(from_scores("m", records, [[0.0] * 20] * records.height), records)
    means, levels = summarise(scores)["m"]["scored"], summarise_strata(scores)["m"]["scored"]
    for name in ("domain", "core", "user_type"):
        assert sum(member["n"] for member in levels[name].values()) == means["n"] == records.height
    assert means["hit@10"] == 0.5


def test_every_number_of_interactions_has_a_core():
    assert [core_label(n) for n in (1, 2, 3, 4, 5, 6, 9, 10, 40)] == [
        "1",
        "2",
        "3",
        "4",
        "5-9",
        "5-9",
        "5-9",
        "10+",
        "10+",
    ]
    assert METRICS[0] == "hit@1"
