import polars as pl
import pytest

from kitrec.core import tables
from kitrec.core.errors import InputError
from kitrec.schemas.records import RECORDS

THINGS = tables.Table("things", {"name": pl.String, "size": pl.Int32}, key=("name",), nullable=frozenset({"size"}))


def things(**columns) -> pl.DataFrame:
    return pl.DataFrame(columns, schema_overrides={"size": pl.Int32})


def test_a_table_survives_a_round_trip(tmp_path):
    frame = things(name=["a", "b"], size=[1, None])
    tables.write(frame, tmp_path / "t.parquet", THINGS)
    assert tables.read(tmp_path / "t.parquet", THINGS).equals(frame)


def test_equal_tables_are_written_as_equal_bytes(tmp_path):
    for name in ("a", "b"):
        tables.write(things(name=["x", "y"], size=[1, 2]), tmp_path / name, THINGS)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pl.DataFrame({"name": ["a"]}), "column size is missing"),
        (pl.DataFrame({"name": ["a"], "size": ["big"]}), "column size is String, must be Int32"),
        (things(name=["a", None], size=[1, 2]), "column name has 1 empty values"),
        (things(name=["a", "a"], size=[1, 2]), "two rows have the same name"),
        (things(name=["a"], size=[1], colour=["red"]), "column colour is unknown"),
    ],
)
def test_a_schema_violation_is_reported_and_nothing_is_written(tmp_path, frame, message):
    with pytest.raises(InputError, match=message):
        tables.write(frame, tmp_path / "t.parquet", THINGS)
    assert not (tmp_path / "t.parquet").exists()


def test_a_truncated_table_is_refused(tmp_path):
    path = tmp_path / "t.parquet"
    tables.write(things(name=["a", "b"], size=[1, 2]), path, THINGS)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match="not a whole parquet file"):
        tables.read(path, THINGS)


def test_a_missing_table_is_an_error_with_a_way_out(tmp_path):
    with pytest.raises(InputError, match="dvc repro"):
        tables.read(tmp_path / "t.parquet", THINGS)


RULE_VIOLATIONS = {
    "all candidates differ": {"candidate_ids": ["m1", "m1"]},
    "every candidate has an origin": {"candidate_origins": ["truth"]},
    "the ground truth is a candidate": {"gt_item_id": "m9"},
    "there is a Books history": {"source_items": [], "source_ratings": []},
    "every item of a history has its rating": {"source_ratings": [4.0, 5.0]},
    "source_ratings are from 1 to 5": {"source_ratings": [0.0]},
    "gt_rating are from 1 to 5": {"gt_rating": 7.0},
}
RECORD = {
    **dict.fromkeys(
        ("record_id", "user_id", "target", "candidate_set", "user_type", "user_category", "candidate_hash"), "x"
    ),
    "core": 1,
    "source_items": ["b1"],
    "source_ratings": [4.0],
    "target_items": [],
    "target_ratings": [],
    "candidate_ids": ["m1", "m2"],
    "candidate_origins": ["truth", "random"],
    "gt_item_id": "m1",
    "gt_rating": None,
    "gt_time": None,
    "gt_has_metadata": True,
    "output": None,
}


def test_a_valid_record_satisfies_all_rules(tmp_path):
    valid = tables.from_rows([RECORD], RECORDS)
    tables.write(valid, tmp_path / "r.parquet", RECORDS)
    assert tables.read(tmp_path / "r.parquet", RECORDS).equals(valid)


@pytest.mark.parametrize("rule", RULE_VIOLATIONS)
def test_a_record_that_breaks_a_rule_is_refused_with_the_rules_description(tmp_path, rule):
    with pytest.raises(InputError, match=f"1 rows break the rule that {rule}"):
        tables.write(tables.from_rows([{**RECORD, **RULE_VIOLATIONS[rule]}], RECORDS), tmp_path / "r.parquet", RECORDS)
