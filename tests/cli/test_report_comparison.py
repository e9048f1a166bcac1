"""`kitrec report A B` on real experiments of a small project: numbers of numpy and scipy, and plain refusals."""

import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import stats
from typer.testing import CliRunner

from kitrec.cli import runs as named
from kitrec.cli.main import app
from kitrec.config import profiles
from kitrec.core.errors import InputError
from kitrec.core.params import FILE
from tests.cli.made_experiments import git, made_project

PAGE = Path("report/comparison.html")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """The project, which no test changes."""
    folder, before = tmp_path_factory.mktemp("project"), Path.cwd()
    os.chdir(folder)
    made_project(folder)
    os.chdir(before)
    return folder


@pytest.fixture
def project(made, monkeypatch) -> Path:
    monkeypatch.chdir(made)
    return made


@pytest.fixture
def copy(made, tmp_path, monkeypatch) -> Path:
    """A copy that a test may change."""
    shutil.copytree(made, tmp_path / "copy", symlinks=True)
    monkeypatch.chdir(tmp_path / "copy")
    return tmp_path / "copy"


def report(*names: str) -> str:
    """Run the command and return the page without its scripts."""
    done = CliRunner().invoke(app, ["report", *names], catch_exceptions=False)
    assert done.exit_code == 0 and done.output.strip() == str(PAGE)
    return PAGE.read_text()


def screen(page: str) -> dict:
    """What the switches choose from."""
    return json.loads(re.search(r'id="first-screen">(.*?)</script>', page, re.DOTALL)[1])


def section(page: str, name: str) -> str:
    """The text of a section, without tags."""
    body = re.search(rf'<section id="{name}".*?</section>', page, re.DOTALL)[0]
    return " ".join(re.sub(r"<script.*?</script>|<[^>]*>", " ", body, flags=re.DOTALL).split())


def sentences(page: str, view: str = "A|all|all", kind: str = "scored", metric: str = "ndcg@10") -> list[str]:
    return screen(page)["views"][view]["answers"][kind][metric]["sentences"]


@pytest.mark.usefixtures("project")
def test_differences_intervals_and_p_are_those_of_numpy_and_scipy():
    page = report("HEAD", "trained")
    shown = screen(page)
    assert [name for name, _ in shown["sets"]] == ["A", "B"] and shown["kinds"] == ["scored", "written"]
    tables = [named.scores(run, "A").filter(method="sasrec", kind="scored") for run in ("HEAD", "trained")]
    views = {"A|all|all": pl.lit(True), "A|music|all": pl.col("target") == "music", "A|all|4": pl.col("core") == "4"}
    for view, rows in views.items():
        scores = [dict(table.filter(rows).select("user_id", "ndcg@10").iter_rows()) for table in tables]
        differences = np.array([scores[1][user] - value for user, value in scores[0].items()])
        first, second, difference, low, high, p, verdict = shown["views"][view]["rows"]["scored"]["sasrec"]["ndcg@10"]
        means = [np.mean(list(each.values())) for each in scores]
        assert (first, second, difference) == pytest.approx((*means, differences.mean()), abs=6e-5)
        signs = stats.binomtest(int((differences > 0).sum()), int((differences != 0).sum())).pvalue
        assert p == pytest.approx(signs, abs=0.03)  # of hits the flips of signs are binomial; Holm has one test
        interval = stats.bootstrap((differences,), np.mean, n_resamples=4000, method="BCa", rng=1).confidence_interval
        assert (low, high) == pytest.approx(tuple(interval), abs=0.025)
        clear = signs < 0.05 and interval.low * interval.high > 0
        assert (verdict in ("ahead", "behind")) == clear
        assert f"{len(differences)} records of {len(differences)} users" in shown["views"][view]["note"]
    others = {name: by["ndcg@10"] for name, by in shown["views"]["A|all|all"]["rows"]["scored"].items()}
    assert {name for name, row in others.items() if row[-1] == "same scores"} == {"kitrec_full", "oracle", "popularity"}


@pytest.mark.usefixtures("project")
def test_numbers_are_those_of_compare():
    page = report("HEAD", "trained")
    rows = screen(page)["views"]["A|all|all"]["rows"]["scored"]["sasrec"]
    printed = CliRunner().invoke(app, ["compare", "HEAD", "trained", "--json"], catch_exceptions=False).output
    for row in json.loads(printed)["tables"]["scored"]:
        if row["method"] == "sasrec" and row["metric"] in rows:
            numbers = [row[name] for name in ("first", "second", "difference", "low", "high", "p_permutation")]
            assert rows[row["metric"]][:6] == pytest.approx(numbers, abs=6e-5)


@pytest.mark.usefixtures("project")
def test_the_page_says_which_params_and_code_differ_and_the_workspace_stays_as_it_is():
    before = {path: path.stat().st_mtime_ns for path in Path("data").rglob("*")}
    page = report("HEAD", "trained")
    assert "1 of " in section(page, "params") and "params differs." in section(page, "params")
    assert section(page, "params").split("key HEAD trained ")[1].startswith("training_seed null 5")
    assert "All stages ran with the same code." in section(page, "code_and_inputs")
    assert "input outcome" in section(page, "code_and_inputs")
    assert "2 of 3" not in page and "Of the 3 outs that both runs have, 2 are equal" in section(page, "code_and_inputs")
    assert git(Path.cwd(), "status", "--short") == ""
    assert {path: path.stat().st_mtime_ns for path in Path("data").rglob("*")} == before


@pytest.mark.usefixtures("project")
def test_a_run_against_itself_gives_no_claim():
    page = report("HEAD", "HEAD")
    nothing = "Every ranking of both runs has the same scores in HEAD and HEAD: nothing differs here."
    answers = screen(page)["views"].values()
    assert {text for view in answers for of in view["answers"].values() for each in of.values()
            for text in each["sentences"]} == {nothing}  # fmt: skip
    assert "No param differs." in page and "3 are equal byte for byte" in page and screen(page)["ends"] == {}
    assert not re.search(
        "ahead|behind|distinguishable", section(page, "differences") + section(page, "by_target_history")
    )


@pytest.mark.usefixtures("project")
def test_other_users_are_not_compared():
    page = report("HEAD", "world")
    others = "240 of 240 test users with the same name in both runs are not the same users, so the data differ"
    assert sentences(page) == [f"No difference is tested: {others}."]
    rows = [row for view in screen(page)["views"].values() for of in view["rows"].values()
            for by in of.values() for row in by.values()]  # fmt: skip
    assert rows and all(row[2:] == [None, None, None, None, "not tested"] for row in rows)
    values = named.scores("world", "A").filter(method="sasrec", kind="scored", target="music")["mrr"]
    shown = screen(page)["views"]["A|music|all"]["rows"]["scored"]["sasrec"]["mrr"]
    assert shown[1] == pytest.approx(values.mean(), abs=6e-5)


@pytest.mark.usefixtures("project")
def test_lists_of_another_length_are_not_compared():
    page = report("HEAD", "longer")
    reason = "20 candidates against 30, and a rank among more candidates is another rank"
    assert sentences(page) == [f"No difference is tested: {reason}."]
    assert "ahead" not in section(page, "differences")


@pytest.mark.usefixtures("project")
def test_a_method_of_one_run_alone_is_shown_and_not_compared():
    page = report("HEAD", "fewer")
    assert sentences(page)[-1] == "Only HEAD has sasrec." and "sasrec" not in screen(page)["views"]["A|all|all"]["rows"]
    mean = named.scores("HEAD", "A").filter(method="sasrec")["mrr"].mean()
    assert f"HEAD A sasrec scored {mean:.3f}" in section(page, "in_one_run_alone")


@pytest.mark.usefixtures("project")
def test_refusals_name_the_way_out():
    with pytest.raises(InputError, match=r"nowhere is no experiment and no git revision.*dvc exp show"):
        report("HEAD", "nowhere")
    with pytest.raises(InputError, match=r"bare has no dvc\.lock.*dvc repro evaluate"):
        report("bare", "HEAD")
    with pytest.raises(InputError, match=r"name two runs, e\.g\. `kitrec report trained workspace`"):
        report("trained")


def test_a_cache_that_lacks_a_run_is_named_with_the_command_that_fetches_it(copy):
    shutil.rmtree(copy / ".dvc/cache")
    with pytest.raises(
        InputError, match=r"DVC's cache lacks it: `dvc exp pull REMOTE trained`.*`dvc exp apply trained`"
    ):
        report("workspace", "trained")
    with pytest.raises(
        InputError, match=r"`dvc fetch --all-commits data/scores`.*`git checkout HEAD` and `dvc repro ev"
    ):
        report("HEAD", "workspace")


@pytest.mark.usefixtures("copy")
def test_a_run_without_scores_says_so():
    lock = Path("dvc.lock")
    lock.write_text(lock.read_text().replace("data/scores", "data/other"))
    git(Path.cwd(), "commit", "-qam", "no scores")
    with pytest.raises(InputError, match=r"HEAD has no data/scores/setA\.parquet: its dvc\.lock has no such output"):
        report("HEAD", "trained")


@pytest.mark.usefixtures("copy")
def test_the_workspace_is_a_run_and_sets_in_common_are_compared():
    profiles.put(FILE, {"data.test_sets": ["A"]})
    page = report("HEAD", "workspace")
    assert [name for name, _ in screen(page)["sets"]] == ["A"]
    assert "with changes" in page and section(page, "params").count("data.test_sets") == 1
    git(Path.cwd(), "commit", "-qam", "set A")
    profiles.put(FILE, {"data.test_sets": ["B"], "data.candidate_set": "B"})
    with pytest.raises(InputError, match="no test set in common, HEAD on A and workspace on B: run both with one"):
        report("HEAD", "workspace")


@pytest.mark.usefixtures("copy")
def test_stages_of_other_code_are_listed_with_their_fingerprints():
    lock = Path("dvc.lock")
    fingerprint = re.search(r"code\.yaml:\s+evaluate: (\w+)", lock.read_text())[1]
    lock.write_text(lock.read_text().replace(fingerprint, "c0de"))
    text = section(report("HEAD", "workspace"), "code_and_inputs")
    assert "1 stage ran with other code." in text and f"code of evaluate {fingerprint} c0de" in text
    assert "In workspace the code of evaluate has changed since it ran." in text
