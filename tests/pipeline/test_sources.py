"""`prepare` on real inputs, as a user runs it: raw Amazon files, then KitREC's files made from the result."""

import json
from pathlib import Path

import polars as pl
import pytest

from bench import raw_amazon
from bench.clone import make_clone, results
from kitrec.config import profiles
from kitrec.core import files
from kitrec.core.domains import KITREC
from kitrec.hub.rows import to_rows
from tests.pipeline.test_end_to_end import Clone

SALT = b"sixteen or more."
MANY = {"source.reject_limit": 0.05}  # the dirt of `raw_amazon` is a few percent


def spoil(path: Path) -> None:
    lines = path.read_text().split("\n")
    path.write_text("\n".join(line[: len(line) // 2] if k % 10 == 0 else line for k, line in enumerate(lines)))


def copy_test_users(folder: Path) -> None:
    """A test user's row, with an output, among the training rows."""
    for which in "AB":
        row = json.loads((folder / f"set{which}/test.jsonl").read_text().split("\n")[0])
        train = folder / f"set{which}/train.jsonl"
        train.write_text(train.read_text() + "\n" + json.dumps({**row, "output": "<think>\nx\n</think>\n\n{}"}))


def answer_a_test_row(folder: Path) -> None:
    """A leak that only the audit sees."""
    path = folder / "setA/test.jsonl"
    first, *others = path.read_text().split("\n")
    path.write_text("\n".join([json.dumps({**json.loads(first), "output": "<think>\nx\n</think>\n\n{}"}), *others]))


@pytest.fixture(scope="module")
def amazon(tmp_path_factory) -> Clone:
    clone = Clone(tmp_path_factory.mktemp("amazon"))
    make_clone(clone.folder, ["dataset=smoke", "llm=smoke"])
    raw_amazon.write(clone.folder / "raw", 5, 120, 90, dirty=True)
    return prepared(clone, {"source.kind": "amazon", **MANY})


@pytest.fixture(scope="module")
def kitrec(tmp_path_factory, amazon) -> Clone:
    clone = Clone(tmp_path_factory.mktemp("kitrec"))
    make_clone(clone.folder, ["dataset=smoke", "llm=smoke"])
    write_kitrec_files(amazon.folder / "data", clone.folder / "raw")
    return prepared(clone, {"source.kind": "kitrec", "source.limit": None})


def prepared(clone: Clone, values: dict) -> Clone:
    profiles.put(clone.folder / "params.yaml", values)
    for stage in ("check_params", "prepare"):
        done = clone.run("python", "-m", f"stages.{stage}")
        assert done.returncode == 0, done.stderr
    return clone


def write_kitrec_files(data: Path, folder: Path) -> None:
    items = {row["item_id"]: row for row in pl.read_parquet(data / "items.parquet").iter_rows(named=True)}
    for which in "AB":
        own = data / f"records/set{which}"
        parts = {"val": [own / "preference.parquet"], "test": [own / "test.parquet"]}
        parts["train"] = sorted(own.glob("*/*.parquet"))
        (folder / f"set{which}").mkdir(parents=True, exist_ok=True)
        for name, paths in parts.items():
            records = pl.concat([pl.read_parquet(path) for path in paths])
            lines = [json.dumps(row, ensure_ascii=False) for row in to_rows(records, items, SALT)]
            (folder / f"set{which}/{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")


def test_amazon_gives_whole_audited_records_of_the_asked_users(amazon):
    figures = files.read_json(amazon.folder / "metrics/data.json")
    assert figures["leaks"] == {"A": {}, "B": {}}
    assert figures["users_by_type"] == dict.fromkeys(KITREC.user_types, 12)
    assert figures["records"]["test"] == dict.fromkeys(sorted(KITREC.user_types), 2)
    rejected = [json.loads(line) for line in (amazon.folder / "data/rejects.jsonl").read_text().splitlines()]
    assert len(rejected) == sum(figures["rejected"].values()) > 0
    for which in "AB":
        for path in (amazon.folder / f"data/records/set{which}").glob("*/*.parquet"):
            assert pl.read_parquet(path)["output"].str.contains(r"(?s)^<think>\n.+</think>.+```json").all()
    assert set(figures["difficulty"]["A"]) == set(figures["difficulty"]["B"])


def test_references_without_a_known_truth_are_popularity_and_chance(amazon):
    assert amazon.run("python", "-m", "stages.rank_references").returncode == 0
    rankings = pl.read_parquet(amazon.folder / "data/rankings/references/setA.parquet")
    assert set(rankings["method"]) == {"popularity", "random"}


def test_kitrecs_files_say_what_the_tables_said(amazon, kitrec):
    for which in "AB":
        for role in ("preference", "test"):
            before, after = (
                pl.read_parquet(clone.folder / f"data/records/set{which}/{role}.parquet") for clone in (amazon, kitrec)
            )
            keys = ["gt_item_id", "candidate_ids", "core", "user_type", "gt_rating", "gt_has_metadata"]
            assert before.select(keys).sort("candidate_ids").equals(after.select(keys).sort("candidate_ids"))


def test_validation_rows_without_outputs_give_no_preference_pairs(amazon, kitrec):
    """No template that the adapters did not learn writes them."""
    for clone, count in ((amazon, 10), (kitrec, 0)):
        assert files.read_json(clone.folder / "metrics/data.json")["preference_pairs"] == {"A": count, "B": count}
        assert pl.read_parquet(clone.folder / "data/preferences/setA.parquet").height == count


def test_the_split_is_made_anew_by_user_and_alike_in_both_sets(kitrec):
    for model in ("dualft-movies", "singleft-music"):
        sides = {}
        for which in "AB":
            folder = kitrec.folder / f"data/records/set{which}/{model}"
            sides[which] = {
                role: set(pl.read_parquet(folder / f"{role}.parquet")["user_id"]) for role in ("train", "development")
            }
        assert sides["A"] == sides["B"] and not sides["A"]["train"] & sides["A"]["development"]
        assert len(sides["A"]["development"]) == (4 if model == "dualft-movies" else 1)


def test_the_interactions_of_kitrecs_files_are_what_its_prompts_show(kitrec):
    seen = pl.read_parquet(kitrec.folder / "data/interactions/test.parquet")
    tests = pl.read_parquet(kitrec.folder / "data/records/setA/test.parquet")
    shown = {(r["user_id"], i) for r in tests.iter_rows(named=True) for i in (*r["source_items"], *r["target_items"])}
    assert set(seen.filter(~pl.col("held_out")).select("user_id", "item_id").iter_rows()) == shown
    assert set(seen.filter("held_out").select("user_id", "item_id").iter_rows()) == set(
        tests.select("user_id", "gt_item_id").iter_rows()
    )


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / "setA/test.jsonl").unlink(), "raw lacks setA/test.jsonl"),
        (lambda folder: spoil(folder / "setB/train.jsonl"), "rows were rejected, above the limit of 1.0%"),
        (lambda folder: (folder / "setB/val.jsonl").write_text("{}\n"), "no usable row in set B, preference"),
        (copy_test_users, "test users among the others"),
        (answer_a_test_row, "teacher's output on test records (1"),
    ],
)
def test_bad_files_are_one_message_and_what_was_there_stays_whole(kitrec, damage, said):
    before = results(kitrec.folder)
    kept = {path: path.read_bytes() for path in (kitrec.folder / "raw").rglob("*.jsonl")}
    damage(kitrec.folder / "raw")
    done = kitrec.run("python", "-m", "stages.prepare")
    for path, content in kept.items():
        path.write_bytes(content)
    after = results(kitrec.folder)
    assert done.returncode == 1 and said in done.stderr and "Traceback" not in done.stderr, done.stderr
    assert {name for name in before if before[name] != after.get(name)} <= {"data/rejects.jsonl"}
