"""`kitrec show` and `compare` on tables that are made here."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from kitrec.cli.main import app
from kitrec.cli.result_sheets import beyond_sheets, change_sheet, core_sheet, headline_sheets
from kitrec.core import files, tables
from kitrec.core.errors import InputError
from kitrec.evaluation.comparisons import comparisons
from kitrec.evaluation.params import Family
from kitrec.evaluation.score_matrix import score_matrix
from kitrec.evaluation.strata_means import strata_means
from kitrec.evaluation.summary import summarise, summarise_strata
from kitrec.schemas.scores import METRICS, SCORES
from kitrec.schemas.strata_means import STRATA_MEANS
from tests.conftest import ROOT
from tests.evaluation.test_analysis import hits, scores

DRAWN = {"resamples": 200, "seed": 42}
METHODS = {"kitrec_full": 0.3, "sasrec": 0.2, "oracle": 0.9}


def shown(sheet) -> list[list[str]]:
    """The rows of a table, as people see them."""
    return [[str(cell(row)) for cell in sheet.cells.values()] for row in sheet.rows]


@pytest.fixture(scope="module")
def made_scores() -> pl.DataFrame:
    return scores({name: hits(number, share) for number, (name, share) in enumerate(METHODS.items())})


@pytest.fixture
def project(tmp_path, monkeypatch, made_scores) -> Path:
    """A folder with params and the results of one run, in git."""
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("resamples: 10000", "resamples: 200"))
    tables.write(made_scores, Path("data/scores/setA.parquet"), SCORES)
    means = strata_means(score_matrix(made_scores), min_users=1, **DRAWN)
    tables.write(means, Path("data/analysis/strata_means.parquet"), STRATA_MEANS)
    files.write_json(summarise(made_scores), Path("metrics/evaluate.json"))
    files.write_json(summarise_strata(made_scores), Path("metrics/evaluate_strata.json"))
    for command in ("init -q", "add metrics", "-c user.name=a -c user.email=a@example.org commit -qm run"):
        subprocess.run(["git", *command.split()], check=True)
    return tmp_path


def kitrec(*arguments: str, width: int = 80):
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": str(width), "NO_COLOR": "1"})


def test_the_best_learned_value_is_marked_and_never_the_oracles(made_scores):
    (sheet,) = headline_sheets(summarise(made_scores), None, "A")
    rows = shown(sheet)
    assert [row[0] for row in rows] == ["kitrec_full", "sasrec", "oracle"] and list(sheet.ends) == [1]
    assert rows[0][1].startswith("•") and not any("•" in cell for cell in rows[2])
    assert all(sum("•" in row[column] for row in rows) == 1 for column in range(1, 5))
    assert sheet.title == "Scored: all candidates ranked, set A: 240 records"
    strata = core_sheet(summarise_strata(made_scores))
    assert all(sum("•" in row[column] for row in shown(strata)[:2]) >= 1 for column in range(2, len(strata.cells)))


def test_changes_are_the_differences_to_the_committed_means(made_scores):
    means = summarise(made_scores)
    assert change_sheet(means, json.loads(json.dumps(means)), "abc") is None
    committed = json.loads(json.dumps(means))
    committed["sasrec"]["scored"]["mrr"] -= 0.25
    sheet = change_sheet(means, committed, "abc")
    assert shown(sheet) == [["sasrec", "scored", "+0.000", "+0.000", "+0.250", "+0.000"]]


def test_lists_are_shown_by_test_set_with_intervals_of_means_alone():
    figures = {"coverage": 0.5, "gini": 0.25, "novelty": 7.0, "novelty_low": 6.5, "novelty_high": 7.5}
    figures |= {"diversity": None, "diversity_low": None, "diversity_high": None}
    (sheet,) = beyond_sheets({"setB": {"k": 10, "lists": 600, "items": 1400, "methods": {"m": figures}}})
    assert sheet.title == "First 10 candidates, set B: 600 lists, 1,400 items"
    assert shown(sheet) == [["m", "0.500", "0.250", "7.000 [6.500, 7.500]", "–"]]


@pytest.mark.usefixtures("project")
def test_intervals_and_counts_are_those_of_the_analysis():
    done = kitrec("show")
    assert done.exit_code == 0, done.output
    means = tables.read(Path("data/analysis/strata_means.parquet"), STRATA_MEANS).filter(stratum="all", metric="hit@1")
    for row in means.iter_rows(named=True):
        bounds = ", ".join(f"{row[name]:.3f}".removeprefix("0") for name in ("low", "high"))
        assert f"{row['mean']:.3f} [{bounds}]" in done.output
    assert "240 records of 240 users" in done.output and "the means of the committed run" in done.output
    assert max(map(len, done.output.splitlines())) <= 80 and "…" not in done.output


@pytest.mark.usefixtures("project")
def test_means_of_another_run_have_no_intervals_and_their_differences_are_listed():
    means = files.read_json(Path("metrics/evaluate.json"))
    means["sasrec"]["scored"]["hit@1"] += 0.125
    files.write_json(means, Path("metrics/evaluate.json"))
    done = kitrec("show")
    assert "No intervals: data/analysis/strata_means.parquet is of another run" in " ".join(done.output.split())
    assert "Differences to the committed run" in done.output and "+0.125" in done.output


@pytest.mark.usefixtures("project")
def test_two_methods_compare_as_the_analysis_compares_them(made_scores):
    done = kitrec("compare", "kitrec_full", "sasrec", "--json")
    assert done.exit_code == 0, done.exception
    rows = json.loads(done.stdout)["tables"]["scored"]
    family = Family(kind="scored", metrics=["hit@1"], pairs=[("kitrec_full", "sasrec")])
    analysed = comparisons(score_matrix(made_scores), family, answer_items={}, permutations=10_000, **DRAWN)
    expected = analysed.filter(method="kitrec_full", other="sasrec")
    assert [row["metric"] for row in rows] == list(METRICS)
    for name in ("difference", "low", "high", "p_permutation"):
        assert [row[name] for row in rows] == pytest.approx(expected[name].to_list())
    verdict = rows[0]["verdict"]
    assert verdict == ("ahead" if rows[0]["p_permutation"] < 0.05 and rows[0]["low"] > 0 else "not clear")
    swapped = json.loads(kitrec("compare", "sasrec", "kitrec_full", "--json").stdout)["tables"]["scored"]
    assert swapped[0]["difference"] == pytest.approx(-rows[0]["difference"])
    assert np.sign(swapped[0]["low"]) == -np.sign(rows[0]["high"])


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("kitrec_full", "sasrek"), "did you mean sasrec?"),
        (("kitrec_full", "workspace"), "kitrec_full is a method, workspace is a run: give two methods of one run"),
        (("kitrec_full", "kitrec_full"), "compared with itself"),
        (("kitrec_full", "sasrec", "--sets", "A,B"), "two methods are compared on one set"),
        (("kitrec_full", "sasrec", "--sets", "C"), "'C' is no candidate set"),
        (("kitrec_full", "nowhere", "--run", "workspace"), "no method of this run"),
    ],
)
def test_names_that_do_not_compare_are_refused(arguments, message):
    done = kitrec("compare", *arguments)
    assert isinstance(done.exception, InputError) and message in str(done.exception)


@pytest.mark.usefixtures("project")
def test_a_name_that_is_a_method_and_a_run_is_refused():
    Path("sasrec").mkdir()
    shutil.copy("params.yaml", "sasrec")
    done = kitrec("compare", "sasrec", "kitrec_full")
    assert "sasrec is a method and a run" in str(done.exception)


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("sasrek", "hit@1"), "did you mean sasrec?"),
        (("sasrec", "hit@11"), "did you mean hit@1?"),
        (("sasrec", "hit@1", "--set", "C"), "'C' is no test set"),
        (("sasrec", "hit@1", "--kind", "written"), "sasrec has no written ranking"),
        (("sasrec", "hit@1", "--user", "U00001"), "did you mean U0001?"),
        (("sasrec", "hit@1", "--core", "11"), "'11' is no core"),
    ],
)
def test_trace_refuses_unknown_names_before_it_prints(arguments, message):
    done = kitrec("trace", *arguments)
    assert isinstance(done.exception, InputError) and message in str(done.exception)
    assert done.stdout == ""


def test_the_version_is_printed():
    assert kitrec("--version").stdout.startswith("kitrec 0.")
