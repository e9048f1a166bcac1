"""KitREC's files in the layouts of the documents, from `prepare` to `evaluate`."""

import json
from pathlib import Path

import polars as pl
import pytest

from bench.clone import make_clone
from kitrec.config import profiles
from kitrec.core import files
from kitrec.core.domains import KITREC
from tests.documents import made_kitrec
from tests.pipeline.test_end_to_end import MINUTES, Clone

SIZES = {"train": 6, "val": 2, "test": 3}
ROLES = {"val": "preference", "test": "test"}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> tuple[Clone, dict]:
    clone = Clone(tmp_path_factory.mktemp("published"))
    make_clone(clone.folder, ["dataset=kitrec_files"])
    made = made_kitrec.write(clone.folder / "raw", SIZES)
    profiles.put(clone.folder / "params.yaml", {"source.overlap": "stop", "source.leaks": "stop"})
    return prepare(clone), made


def prepare(clone: Clone) -> Clone:
    for stage in ("check_params", "prepare"):
        done = clone.run("python", "-m", f"stages.{stage}")
        assert done.returncode == 0, done.stdout + done.stderr
        (clone.folder / f"{stage}.log").write_text(done.stderr)
    return clone


def table(clone: Clone, pattern: str) -> dict[str, dict]:
    paths = sorted((clone.folder / "data/records").glob(pattern))
    return {row["user_id"]: row for path in paths for row in pl.read_parquet(path).iter_rows(named=True)}


@pytest.mark.parametrize("which", ["A", "B"])
@pytest.mark.parametrize("role", SIZES)
def test_the_tables_say_what_the_files_say(prepared, role, which):
    clone, made = prepared
    rows = table(clone, f"set{which}/*/*.parquet" if role == "train" else f"set{which}/{ROLES[role]}.parquet")
    assert len(rows) == len(made[role]) == 10 * SIZES[role]
    for record in made[role]:
        row = rows[record.user]
        assert (row["source_items"], row["target_items"]) == (record.books, record.seen)
        assert (row["candidate_ids"], row["gt_item_id"]) == (record.candidates[which], record.truth)
        assert (row["core"], row["user_type"]) == (record.core, record.user_type)
        assert (row["output"] is not None) == (role == "train")


def test_no_row_is_lost_and_what_is_not_as_documented_is_told(prepared):
    clone, made = prepared
    figures = files.read_json(clone.folder / "metrics/data.json")
    assert figures["rejected"] == {} and figures["rows"] == 2 * sum(map(len, made.values()))
    assert "set A, test: 30 records, the documents state 30,000" in figures["deviations"]
    assert "set B, val: 20 records, the documents state 12,000" in figures["deviations"]
    assert any("lists of 10" in line for line in figures["deviations"])
    said = (clone.folder / "prepare.log").read_text()
    assert said.count("WARNING") == 12 and "more" in said


def test_a_limit_takes_as_many_of_every_type_in_every_role(prepared):
    clone, _ = prepared
    profiles.put(clone.folder / "params.yaml", {"source.limit": 2})
    limited = prepare(clone)
    figures = files.read_json(limited.folder / "metrics/data.json")
    profiles.put(clone.folder / "params.yaml", {"source.limit": None})
    assert figures["rows"] == 2 * 3 * 2 * 10
    for role in ("preference", "test"):
        assert figures["records"][role] == dict.fromkeys(sorted(KITREC.user_types), 2)
    assert (
        figures["records"]["train"] == figures["records"]["development"] == dict.fromkeys(sorted(KITREC.user_types), 1)
    )


def test_a_validation_user_who_is_a_test_user_stops_the_run(prepared):
    clone, _ = prepared
    for which in "AB":
        place = clone.folder / f"raw/set{which}"
        guest = json.loads((place / "test.jsonl").read_text().split("\n")[0])
        with (place / "val.jsonl").open("a") as stream:
            stream.write(json.dumps(guest) + "\n")
    stopped = clone.run("python", "-m", "stages.prepare")
    profiles.put(clone.folder / "params.yaml", {"source.overlap": "report", "source.leaks": "report"})
    clone.run("python", "-m", "stages.check_params")
    reported = clone.run("python", "-m", "stages.prepare")
    assert stopped.returncode == 1 and "'preference': 1" in stopped.stderr and "Traceback" not in stopped.stderr
    assert reported.returncode == 0 and "test users among the others: {'train': 0" in reported.stderr
    figures = files.read_json(clone.folder / "metrics/data.json")
    assert figures["overlap"]["preference"] == 1 and figures["leaks"]["A"]["preference user in test"] == 1


@pytest.mark.parametrize(
    "choices", [["dataset=kitrec_hub", "dataset=smoke"], ["dataset=kitrec_files", "dataset=smoke"]]
)
def test_the_smoke_size_works_after_published_data(choices, tmp_path, in_project):
    """Whatever was chosen before, a smoke run needs no files, and its limit holds for any source put in by hand."""
    path = tmp_path / "params.yaml"
    path.write_text((in_project / "params.yaml").read_text())
    for choice in choices:
        profiles.use(path, [choice])
    values = profiles.params.read(path)
    assert values["source"]["kind"] == "synthetic" and values["source"]["limit"] == 6
    profiles.put(path, {"source.kind": "hub"})


@pytest.mark.slow
def test_published_layouts_go_all_the_way_to_the_figures(tmp_path: Path):
    clone = Clone(tmp_path)
    make_clone(clone.folder, ["dataset=smoke", "llm=smoke"])
    made_kitrec.write(clone.folder / "raw", SIZES)
    profiles.put(clone.folder / "params.yaml", {"source.kind": "kitrec"})
    done = clone.run("dvc", "repro", "evaluate", timeout=20 * MINUTES)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    figures = files.read_json(clone.folder / "metrics/evaluate.json")
    assert {"kitrec_full", "base_direct", "sasrec"} <= set(json.dumps(figures).replace('"', " ").split())
    scores = pl.read_parquet(clone.folder / "data/scores/setA.parquet")
    assert scores.filter(pl.col("method") == "kitrec_full")["record_id"].n_unique() == 10 * SIZES["test"]
