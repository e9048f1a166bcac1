"""`import kitrec` and its public functions, on a small world with two scored methods and one that also writes."""

import shutil
import subprocess
import sys
from itertools import product
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import stats

import kitrec
from kitrec.core import tables
from kitrec.core.errors import InputError
from kitrec.evaluation.scoring import score
from kitrec.preprocessing.dataset import Dataset
from kitrec.schemas.answers import ANSWERS
from kitrec.schemas.items import ITEMS
from kitrec.schemas.rankings import RANKINGS, from_scores
from kitrec.schemas.records import RECORDS
from kitrec.schemas.scores import METRICS, SCORES
from kitrec.synthetic.build import SyntheticWorld
from stages.lib.dvcfile import stage_scripts
from stages.lib.fingerprints import reached_files
from tests.conftest import ROOT


def written(method: str, records: pl.DataFrame) -> pl.DataFrame:
    """Rankings of a method that always names the last candidate."""
    scored = from_scores(method, records, [[0.0] * 20] * records.height)
    return scored.with_columns(
        kind=pl.lit("written"),
        item_ids=records["candidate_ids"].list.slice(-1),
        scores=pl.lit(None, dtype=pl.List(pl.Float64)),
        confidence=pl.lit(9.0),
        answer_items=pl.lit(1, dtype=pl.Int32),
    )


def answers(method: str, records: pl.DataFrame) -> pl.DataFrame:
    counts = dict.fromkeys(("prompt_tokens", "source_items", "target_items", "answer_tokens"), 1)
    constant = {"method": method, "notes": [], "prompt_hash": "p", "shortened": [], "finish_reason": "stop"}
    constant |= {"adapter": None, "error": None, **counts}
    rows = [{**constant, "record_id": name, "text": f"answer to {name}"} for name in records["record_id"]]
    return tables.from_rows(rows, ANSWERS)


def write_project(folder: Path, dataset: Dataset, world: SyntheticWorld) -> None:
    """Write a folder as the pipeline leaves it. On set A `kitrec_full` and `base_direct` score candidates from the last
    to the first, popularity the other way round; on set B all score by chance. Two methods write answers."""
    shutil.copy(ROOT / "params.yaml", folder)
    tables.write(world.items, folder / "data/items.parquet", ITEMS)
    rng = np.random.default_rng(1)
    for which in "AB":
        records = dataset.records[which]["test"]
        order = np.tile(np.arange(20.0), (records.height, 1))
        values = {"kitrec_full": order, "base_direct": order, "popularity": -order}
        rankings = {}
        for name in values:
            drawn = rng.random(order.shape) if which == "B" else values[name]
            rankings[name] = from_scores(name, records, drawn)
            if name != "popularity":
                rankings[name] = pl.concat([rankings[name], written(name, records)])
                tables.write(answers(name, records), folder / f"data/answers/{name}/set{which}.parquet", ANSWERS)
            stored = "references" if name == "popularity" else name
            tables.write(rankings[name], folder / f"data/rankings/{stored}/set{which}.parquet", RANKINGS)
        tables.write(records, folder / f"data/records/set{which}/test.parquet", RECORDS)
        scores = score(pl.concat(list(rankings.values())), records)
        tables.write(scores, folder / f"data/scores/set{which}.parquet", SCORES)


@pytest.fixture(scope="module")
def project(tmp_path_factory, dataset, world) -> Path:
    folder = tmp_path_factory.mktemp("run")
    write_project(folder, dataset, world)
    return folder


def test_a_run_opens_on_the_set_of_its_headline_or_on_another(project):
    run, other = kitrec.load_run(project), kitrec.load_run(str(project), "B")
    assert (run.test_set, other.test_set) == ("A", "B") and run.methods == ["base_direct", "kitrec_full", "popularity"]
    assert run.scores.columns == list(SCORES.columns) and not run.scores.equals(other.scores)
    assert isinstance(run, kitrec.Run)


def test_compare_subtracts_user_by_user(project):
    run = kitrec.load_run(project, "B")
    table = run.compare("kitrec_full", "popularity")
    assert table["metric"].to_list() == list(METRICS)
    first, second = (
        run.scores.filter(method=name, kind="scored").sort("record_id") for name in ("kitrec_full", "popularity")
    )
    for row in table.iter_rows(named=True):
        difference = (first[row["metric"]] - second[row["metric"]]).to_numpy()
        assert row["difference"] == pytest.approx(difference.mean())
        assert row["mean"] - row["other_mean"] == pytest.approx(difference.mean())
        assert row["low"] <= row["difference"] <= row["high"]
        by_user = pl.DataFrame({"user": first["user_id"], "d": difference}).group_by("user").agg(pl.col("d").sum())["d"]
        assert row["n"] == len(by_user)
        if row["metric"] == "mrr":  # whose values are fine enough for Student's test to agree
            assert row["p_permutation"] == pytest.approx(stats.ttest_1samp(by_user, 0).pvalue, abs=0.02)
    swapped = run.compare("popularity", "kitrec_full")
    assert swapped["difference"].to_list() == pytest.approx((-table["difference"]).to_list())
    assert swapped["p_permutation"].to_list() == pytest.approx(table["p_permutation"].to_list())


def test_cold_start_has_the_mean_of_every_core_of_every_domain(project):
    run = kitrec.load_run(project, "B")
    table = run.cold_start("mrr")
    rows = run.scores.filter(kind="scored")
    groups = {key: part["mrr"].mean() for key, part in rows.group_by("method", "target", "core")}
    computed = {tuple(row[:3]): row[4] for row in table.iter_rows()}
    assert table.columns == ["method", "target", "core", "n", "mean", "low", "high"]
    assert computed == pytest.approx(groups, abs=1e-6) and table["n"].sum() == rows.height


def test_a_user_has_history_candidates_with_ranks_answers_and_scores(project, dataset, items):
    records = dataset.records["A"]["test"].filter(pl.col("target_items").list.len() > 0)
    record = records.row(0, named=True)
    user = kitrec.load_run(project).user(record["user_id"])
    history = user.history.filter(target=record["target"])
    ids = [*record["source_items"], *record["target_items"]]
    assert history["item_id"].to_list() == ids and set(history["domain"]) == {"books", record["target"]}
    assert history["title"].to_list() == [items[item]["title"] for item in ids]
    assert history["rating"].to_list() == [*record["source_ratings"], *record["target_ratings"]]
    shown = user.candidates.filter(target=record["target"])
    assert shown["item_id"].to_list() == record["candidate_ids"]
    assert shown["kitrec_full"].to_list() == list(range(20, 0, -1))  # scores rise along the list
    assert shown["popularity"].to_list() == list(range(1, 21))
    assert shown.filter("ground_truth")["item_id"].to_list() == [record["gt_item_id"]]
    (answer,) = user.answers.filter(target=record["target"], method="kitrec_full").iter_rows(named=True)
    assert answer["confidence"] == 9.0 and set(user.answers["method"]) == {"base_direct", "kitrec_full"}
    assert answer["text"] == f"answer to {record['record_id']}"
    assert set(user.scores["user_id"]) == {user.user_id} == {record["user_id"]}


def test_tied_candidates_share_their_rank(project, dataset):
    folder = project / "data/rankings/references/setA.parquet"
    records = dataset.records["A"]["test"]
    before = folder.read_bytes()
    tables.write(from_scores("popularity", records, [[1.0] * 20] * records.height), folder, RANKINGS)
    ranks = kitrec.load_run(project).user(records["user_id"][0]).candidates["popularity"]
    folder.write_bytes(before)
    assert set(ranks) == {10.5}


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda run: run.compare("kitrec_full", "kitrec_full"), "compared with itself"),
        (
            lambda run: run.compare("kitrec_full", "sasrec"),
            "'sasrec' has no scored ranking; .*: base_direct, kitrec_full, popul",
        ),
        (lambda run: run.compare("kitrec_full", "popularity", "written"), "'popularity' has no written ranking"),
        (lambda run: run.cold_start("recall"), "'recall' is no metric; there are hit@1"),
        (lambda run: run.user("nobody"), "'nobody' is no test user of set A"),
        (lambda run: kitrec.load_run(run.folder, "C"), "'C' is no test set of this run; there are A, B"),
        (lambda run: kitrec.load_run(run.folder / "data"), "params.yaml is missing"),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(project, use, message):
    with pytest.raises(InputError, match=message):
        use(kitrec.load_run(project))


def test_the_import_alone_loads_nothing():
    command = (
        "import sys, kitrec; print(sorted(n for n in ('polars', 'torch', 'scipy', 'kitrec.run') if n in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_public_names_are_listed_and_others_refused():
    assert {"load_run", "Run", "User"} <= set(dir(kitrec))
    with pytest.raises(AttributeError, match="no attribute 'load'; it offers Run, User, load_run"):
        kitrec.load  # noqa: B018


@pytest.mark.parametrize(
    ("script", "path"), list(product(sorted(set(stage_scripts().values())), ["kitrec/__init__.py", "kitrec/run.py"]))
)
def test_no_stage_depends_on_the_public_functions(script, path):
    assert path not in reached_files(script)
