"""The printed commands that are cheap, run as they are printed; the others are listed here with the reason."""

import shlex
import shutil
import subprocess
from pathlib import Path

import polars as pl
import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

from bench.clone import ENVIRONMENT, make_clone
from kitrec.cli.main import app
from kitrec.core import files, tables
from kitrec.evaluation.comparisons import comparisons
from kitrec.evaluation.params import Family
from kitrec.evaluation.score_matrix import score_matrix
from kitrec.evaluation.strata_means import strata_means
from kitrec.report.plots_page import write_plots_page
from kitrec.schemas.comparisons import COMPARISONS
from kitrec.schemas.scores import SCORES
from kitrec.schemas.strata_means import STRATA_MEANS
from kitrec.schemas.teacher_lists import TEACHER_LISTS
from tests.conftest import ROOT
from tests.distillation.made_teachers import made_lists, made_rows, successors
from tests.documents.test_printed_commands import PRINTED
from tests.evaluation.test_analysis import hits, scores
from tests.llm.made_foreign import made_foreign
from tests.recommenders.test_fit_command import write_data

# Beginnings of commands that are parsed only (test_printed_commands.py), and why.
TRAINS_OR_ASKS_THE_LLM = "minutes to days of the base; test_end_to_end.py runs these stages in the smoke size"
NETWORK = "needs the hub; tests/hub run the command against a hub on localhost"
SEVERAL_RUNS = "needs finished runs of several seeds; tests/cli/test_repeats_cli.py has folders of them"
CARD = "needs a GPU and the hub; tests/cli run its checks"
PARSED = {
    "make ": "builds an environment, then runs what is run elsewhere; test_makefile.py reads its steps",
    "dvc exp run evaluate $(kitrec profile": TRAINS_OR_ASKS_THE_LLM,
    "dvc exp run evaluate -S prompt.": TRAINS_OR_ASKS_THE_LLM,
    "dvc exp run evaluate -S infer.budgets": TRAINS_OR_ASKS_THE_LLM,
    "dvc exp run evaluate -S training_seed=1,2,3": TRAINS_OR_ASKS_THE_LLM,
    "kitrec repeats": SEVERAL_RUNS,
    "kitrec power": SEVERAL_RUNS,
    "dvc exp run train_dualft": TRAINS_OR_ASKS_THE_LLM,
    "dvc metrics diff rate-1": TRAINS_OR_ASKS_THE_LLM,
    "dvc exp run probe_precision": TRAINS_OR_ASKS_THE_LLM,
    "dvc repro train_dualft": TRAINS_OR_ASKS_THE_LLM,
    "dvc repro analyse evaluate_rationales": TRAINS_OR_ASKS_THE_LLM,
    "dvc queue start": TRAINS_OR_ASKS_THE_LLM,
    "dvc exp run judge": "needs a server; tests/llm_judge run the stage against one on localhost",
    "kitrec doctor --pin": NETWORK,
    "kitrec hub pull-model OWNER": NETWORK,
    "kitrec hub push-model": "needs eight trained adapters; test_end_to_end.py writes their cards",
    "kitrec base ": "needs a file of 93 MB or more; tests/llm/test_gguf_import.py imports small ones",
    "kitrec data fetch": NETWORK,
    "dvc exp run prepare -S source.rationales": "tests/pipeline/test_output_teacher.py writes these outputs",
    "python -m bench.": "needs public data that are downloaded by hand",
}
PROFILES = ("kitrec profile",)  # run by test_printed_commands.py, page by page
OWN_DATA = (
    "kitrec fit own.csv --to mine --metadata FOLDER",
    "kitrec fit own.csv --to two --method sasrec,gru4rec -S training.epochs=20 --k-core 5",
    "kitrec predict mine users.csv --to best.tsv",
    "kitrec predict mine users --to best",
    "kitrec title-embeddings FOLDER --to vectors.tsv",
    "kitrec teacher from-text FOLDER --to data/teachers/mine",
    "kitrec thinkrec-records own.csv --titles titles.tsv --to records",
    "kitrec thinkrec-train records/records.jsonl --to yes-no",
    "kitrec hub pull-model ./results/best --as mine/dualft-music",
)
RESULTS = (
    "kitrec show",
    "kitrec tables",
    "kitrec compare workspace workspace --sets A,B",
    "kitrec doctor",
    "kitrec doctor --hours",
    "kitrec plan a100 --price-per-hour 1.60",
)
PROJECT = (
    "dvc repro prepare",
    "dvc repro evaluate analyse",
    "dvc exp run evaluate -S data.candidate_set=B -n set-b",
    "kitrec report HEAD set-b",
    "dvc metrics diff HEAD set-b --targets metrics/evaluate.json",
    "dvc plots diff HEAD set-b",
    "dvc exp show --only-changed",
    "dvc checkout",
    "dvc repro evaluate",
    "kitrec report",
    "kitrec hub push-data OWNER --all",
)
PROVENANCE = (
    "kitrec provenance write",
    "kitrec provenance check report/provenance.json",
    "kitrec provenance write HEAD",
    "git status --short ':!metrics/cost' ':!dvc.lock'",
)
NARROW = (  # forms that fit a terminal
    "dvc exp show --drop '.*' --keep 'Experiment|metrics/evaluate.json:kitrec_full.scored.hit@1$'",
    "dvc metrics diff HEAD --targets metrics/evaluate.json",
    "dvc stage list --name-only",
    "dvc dag train_dualft@movies-full",
    "dvc dag --mermaid",
)
RUN = {*OWN_DATA, *RESULTS, *PROJECT, *PROVENANCE, *NARROW}
WITH_A_TEST = {"tutorial.md", "quickstart_ja.md", "quickstart_ko.md"}  # test_tutorial.py runs these from top to bottom


def kitrec(command: str, **placeholders: str) -> str:
    """Run a printed command in this process; placeholders such as FOLDER get a value."""
    words = [placeholders.get(word, word) for word in shlex.split(command)]
    assert words.pop(0) == "kitrec"
    return CliRunner().invoke(app, words, catch_exceptions=False).output


def test_every_printed_command_is_run_or_listed_with_a_reason():
    printed = {command for page, command in PRINTED if page not in WITH_A_TEST}
    listed = {each for each in printed - RUN if each.startswith(tuple(PARSED))}
    assert {each for each in printed - RUN - listed if not each.startswith(PROFILES)} == set()
    assert printed >= RUN  # what is run here is printed as it is run
    assert [start for start in PARSED if not any(each.startswith(start) for each in listed)] == []


# ---- Models over item ids, in a folder with someone's own data


@pytest.fixture(scope="module")
def own_data(tmp_path_factory, tiny_base) -> Path:
    """The files that the commands name, and params.yaml with a few updates of ThinkRec and small models."""
    folder = tmp_path_factory.mktemp("own")
    write_data(folder)
    shutil.copy(folder / "own.csv", folder / "users.csv")
    (folder / "titles.tsv").write_text("item\ttitle\n" + "".join(f"i{k:02}\tThe Salt Road {k}\n" for k in range(24)))
    (folder / "metadata").mkdir()
    for name in ("titles.tsv", "genres.tsv"):
        shutil.copy(folder / name, folder / "metadata")
    tree = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
    tree["base"]["path"], tree["thinkrec"]["base_weights"] = str(tiny_base), "f32"
    for stage in tree["thinkrec"]["stages"].values():
        stage["training"] |= {"updates": 2, "validate_every": 1, "batch_size": 4, "micro_batch_size": 4}
    for name in ("sasrec", "bert4rec"):
        tree["idrec"]["methods"][name]["model"] |= {"hidden_size": 16, "max_length": 12}
        tree["idrec"]["methods"][name]["training"] |= {"epochs": 2, "patience": 2, "batch_size": 32}
    with (folder / "params.yaml").open("w") as stream:
        YAML(typ="safe").dump(tree, stream)
    made_foreign(tiny_base, folder / "results/best")
    (folder / "ours").mkdir()
    tables.write(made_lists(made_rows(), successors), folder / "ours/lists.parquet", TEACHER_LISTS)
    return folder


def test_commands_on_own_data(own_data, monkeypatch):
    """One after the other, as a reader types them; the yes/no records have a test of their own."""
    monkeypatch.chdir(own_data)
    fit, two, predict, predict_folder, embeddings, from_text, *_, pull = OWN_DATA
    assert "popularity" in kitrec(fit, FOLDER="metadata")
    assert "gru4rec" in kitrec(two)
    kitrec(predict)
    best = pl.read_csv("best.tsv", separator="\t")
    assert set(best["rank"]) == set(range(1, 11)) and best["user"].n_unique() == 150
    Path("users").mkdir()
    shutil.copy("users.csv", "users")
    kitrec(predict_folder)
    assert Path("best/users.tsv").read_bytes() == Path("best.tsv").read_bytes()
    assert "24 titles" in kitrec(embeddings, FOLDER="metadata")
    kitrec("kitrec teacher to-text ours --to text")
    assert "lists" in kitrec(from_text, FOLDER="text") and Path("data/teachers/mine/lists.parquet").exists()
    kitrec(pull)
    assert Path("models/mine/dualft-music/origin.json").exists()


@pytest.mark.slow  # test_document_003.py runs the command by default, on records as the document has them
def test_yes_no_records_are_made_and_trained_on(own_data, monkeypatch):
    monkeypatch.chdir(own_data)
    records, train = OWN_DATA[6:8]
    few = Path("own.csv").read_text().splitlines()[:31]
    Path("few.csv").write_text("\n".join(few) + "\n")
    assert "records.jsonl" in kitrec(records.replace("own.csv", "few.csv"))
    kitrec(train)
    scored = pl.read_csv("yes-no/scores.tsv", separator="\t")
    assert scored.height and scored["probability"].is_between(0, 1).all()


# ---- Results, from tables that are made here


@pytest.fixture
def results(tmp_path, monkeypatch) -> Path:
    """The committed metrics, and what the stages would have written of the answers and scores of two test sets."""
    for name in ("metrics", "base", "conf"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    contents = dict.fromkeys(("source_items", "target_items", "notes", "prompt_tokens"), 1.0)
    mentions = {name: {"mean": 1.0, "share": 0.5} for name in ("thinking_characters", "history_mentions")}
    answers = {"prompt_contents": contents, "answer_items": 1, "items_named": 1.0, "warnings": [], **mentions}
    for name in ("base_direct", "kitrec_full"):
        files.write_json({"setA": answers, "setB": answers}, tmp_path / f"metrics/answers/{name}.json")
    drawn = {"resamples": 200, "seed": 1}
    for number, which in enumerate("AB"):
        made = scores({name: hits(number + k, 0.2 + k / 10) for k, name in enumerate(("base_direct", "kitrec_full"))})
        tables.write(made, tmp_path / f"data/scores/set{which}.parquet", SCORES)
    matrix = score_matrix(made)
    family = Family(kind="scored", metrics=["hit@1"], pairs=[("kitrec_full", "base_direct")])
    compared = comparisons(matrix, family, answer_items={}, permutations=200, **drawn)
    tables.write(compared, tmp_path / "data/analysis/comparisons.parquet", COMPARISONS)
    means = strata_means(matrix, min_users=1, **drawn)
    tables.write(means, tmp_path / "data/analysis/strata_means.parquet", STRATA_MEANS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("results")
def test_commands_that_show_results():
    show, paper, compare, doctor, hours, plan = RESULTS
    assert "Hit@1 by core" in kitrec(show)
    assert "kitrec_full" in kitrec(paper) and Path("report/scored.tex").exists()
    assert "240 users in all runs" in kitrec(compare)
    assert "free disk" in kitrec(doctor) and "both candidate sets" in kitrec(hours)
    assert "of 16 stages; of the others (?) nothing is measured" in kitrec(plan)


def test_a_run_is_written_and_checked(tmp_path, monkeypatch):
    make_clone(tmp_path, [])
    monkeypatch.chdir(tmp_path)
    write, check, write_head, _ = PROVENANCE
    assert "1 run, workspace" in kitrec(write) and "outs with equal hashes" in kitrec(check)
    assert "1 run, HEAD" in kitrec(write_head) and "outs with equal hashes" in kitrec(check)


@pytest.mark.slow
def test_the_forms_for_a_terminal_are_narrow(tmp_path, monkeypatch):
    make_clone(tmp_path, [])
    monkeypatch.chdir(tmp_path)
    for command in NARROW:
        printed = typed(command)
        assert max(map(len, printed.splitlines()), default=0) <= 80, command
    assert "kitrec_full.scored.hit@1" in typed(NARROW[0]) and "train_dualft@movies-full" in typed(NARROW[3])


def test_a_run_that_repeats_differs_in_clocks_alone(tmp_path, monkeypatch):
    """docs/results.md: what git shows after such a run, and the way back."""
    make_clone(tmp_path, [])
    monkeypatch.chdir(tmp_path)
    clocks, lock = sorted(Path("metrics/cost").glob("*.json")), Path("dvc.lock")
    for path in [*clocks, lock]:
        path.write_text(path.read_text().replace('seconds": ', 'seconds": 1').replace("size: ", "size: 1"))
    status = PROVENANCE[-1]
    assert typed(status) == "" and len(typed("git status --short").splitlines()) == len(clocks) + 1
    typed("git checkout dvc.lock metrics/cost")
    assert typed("git status --short") == ""
    Path("metrics/evaluate.json").write_text("{}")
    assert typed(status) == " M metrics/evaluate.json\n"


# ---- The pipeline, in a copy of the project whose only methods are references: no LLM is asked


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """A committed clone in the smoke size."""
    make_clone(tmp_path, ["dataset=smoke", "llm=smoke"])
    write_plots_page(tmp_path / ".dvc/plots_page.html")
    path = tmp_path / "params.yaml"
    tree = YAML(typ="safe").load(path.read_text())
    tree["infer"]["methods"], tree["idrec"]["train"], tree["probes"]["orders"] = {}, [], []
    tree["evaluation"] |= {"methods": ["references"], "resamples": 200, "permutations": 1000}
    tree["evaluation"]["family"]["pairs"] = []
    with path.open("w") as stream:
        YAML(typ="safe").dump(tree, stream)
    monkeypatch.chdir(tmp_path)
    typed("python -m stages.lib.fingerprints", "git add -A", "git commit -qm params")
    return tmp_path


def typed(*commands: str) -> str:
    """Run commands in a shell of the project, one after the other; return what the last one printed."""
    environment = {**ENVIRONMENT, "PYTHONPATH": str(Path.cwd()), "KITREC_SALT": "0123456789abcdef"}
    for command in commands:
        done = subprocess.run(
            command, shell=True, env=environment, capture_output=True, text=True, timeout=600, check=False
        )
        assert done.returncode == 0, f"{command}: {done.stdout[-1000:]} {done.stderr[-2000:]}"
    return done.stdout


@pytest.mark.slow
@pytest.mark.usefixtures("project")
def test_commands_of_the_pipeline_from_top_to_bottom():
    prepare, evaluate, other_set, compared, metrics, plots, shown, checkout, again, report, push = PROJECT
    typed(prepare, evaluate, "dvc repro", "git add -A", "git commit -qm run")  # all: a checkout wants every out
    assert Path("metrics/evaluate.json").exists() and Path("data/analysis/comparisons.parquet").exists()
    typed(other_set, compared)
    assert "data.candidate_set" in Path("report/comparison.html").read_text()
    difference = typed(metrics)
    assert "oracle.scored.hit@1" in difference
    typed(plots)
    assert Path("dvc_plots/index.html").exists()
    assert "set-b" in typed(shown)
    typed("git checkout .", checkout)
    assert "didn't change" in typed(again)
    typed(report)
    assert Path("report/index.html").exists() and "dry run" in typed(push)
