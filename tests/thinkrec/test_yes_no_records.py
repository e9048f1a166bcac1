"""Writing and reading of records and shards, and every malformed input."""

import json

import numpy as np
import polars as pl
import pytest

from kitrec.core.domains import KITREC
from kitrec.core.errors import InputError
from kitrec.thinkrec.conversion import from_interactions, from_labelled, from_records, user_histories, with_reasons
from kitrec.thinkrec.labelled_rows import LabelledRows, read_labelled, read_titles
from kitrec.thinkrec.rationale_teachers import TemplateTeacher
from kitrec.thinkrec.records import contradicts, read_records, stated_verdict, write_records
from kitrec.thinkrec.vector_shards import Vectors, encode_vector, read_shards, write_shard
from tests.thinkrec.made_thinkrec import WIDTH, made_record, made_vectors


@pytest.mark.parametrize("ending", ["npz", "safetensors"])
def test_records_and_their_vectors_survive_writing(tmp_path, ending):
    users, items = made_vectors("u", 5), made_vectors("i", 9, seed=1)
    write_shard(users, tmp_path / f"users.{ending}")
    write_shard(items, tmp_path / f"items.{ending}")
    records = [made_record(k) for k in range(6)]
    records.append(made_record(1, mode="v1", reason="Yes. It fits.", provenance="template"))
    write_records(records, tmp_path / "r.jsonl", f"users.{ending}", f"items.{ending}")
    read = read_records(tmp_path / "r.jsonl")
    assert read.records == records and read.dropped == {"contradicting_reasons": 0}
    assert read.users is not None and (read.users.rows == users.rows).all()
    assert read.items is not None and (read.items.find("i3") == items.rows[3]).all()


def test_titles_and_rationales_may_contain_other_line_separators(tmp_path):
    odd = made_record(1, mode="v1", reason="Yes. One\u2028two\x85three.", titles=("A\u2029B", "C\x0bD"))
    write_records([odd, made_record(2)], tmp_path / "r.jsonl")
    assert read_records(tmp_path / "r.jsonl").records == [odd, made_record(2)]


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("Yes. It fits.", "Yes"),
        (" no, too long", "No"),
        ("No", "No"),
        ("No-one likes it.", None),
        ("No doubt they would enjoy it.", None),
        ("No one would.", None),
        ("No matter what, they will love it.", None),
        ("No less than perfect.", None),
        ("No way.", "No"),
        ("Nothing.", None),
    ],
)
def test_the_stated_verdict_is_recognised(text, verdict):
    assert stated_verdict(text) == verdict


def made_line(**changed) -> str:
    fields = {"UserID": "u", "HisItemIDs": ["a", "b"], "HisItemTitles": ["A", "B"], "TargetItemID": "c"}
    return json.dumps(fields | {"TargetItemTitle": "C", "label": 1, "mode": "v2"} | changed)


def test_vectors_may_be_inline(tmp_path):
    rows = np.arange(4 * WIDTH, dtype=np.float32).reshape(4, WIDTH)
    user, target, *history = map(encode_vector, rows)
    (tmp_path / "r.jsonl").write_text(made_line(User_emb=user, TargetItem_emb=target, History_embs=history))
    read = read_records(tmp_path / "r.jsonl")
    assert (read.users.find("u") == rows[0]).all()
    assert [(read.items.find(item) == row).all() for item, row in zip("cab", rows[1:], strict=True)] == [True] * 3


def test_conflicting_and_empty_vectors_of_a_user_are_refused(tmp_path):
    one, other = (encode_vector(np.full(WIDTH, value, np.float32)) for value in (0, 1))
    (tmp_path / "r.jsonl").write_text(made_line(User_emb=one) + "\n" + made_line(User_emb=other))
    with pytest.raises(InputError, match="u has two different vectors"):
        read_records(tmp_path / "r.jsonl")
    write_shard(Vectors(["u"], np.ones((1, WIDTH), np.float32)), tmp_path / "users.npz")
    (tmp_path / "r.jsonl").write_text(made_line(User_emb="users.npz") + "\n" + made_line(User_emb=one))
    with pytest.raises(InputError, match="u has two different vectors"):
        read_records(tmp_path / "r.jsonl")
    (tmp_path / "r.jsonl").write_text(made_line(User_emb="base64:"))
    with pytest.raises(InputError, match="the vector of u is empty"):
        read_records(tmp_path / "r.jsonl")


def test_a_rationale_that_contradicts_its_label_is_dropped_and_counted(tmp_path):
    lines = [
        made_line(mode="v1", reason=reason_text)
        for reason_text in ("Yes. Fine.", "No. Bad.", "Perhaps.", "yes, fine", "Yesterday.")
    ]
    (tmp_path / "r.jsonl").write_text("\n".join(lines))
    read = read_records(tmp_path / "r.jsonl")
    # in the form whose first token is scored
    assert [record.reason for record in read.records] == ["Yes. Fine.", "Yes. fine"]
    assert read.dropped == {"contradicting_reasons": 3}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (made_line(label=None), "line 1: label"),
        (made_line(label=2), "line 1: label"),
        (json.dumps({k: v for k, v in json.loads(made_line()).items() if k != "label"}), "line 1: label"),
        (made_line(HisItemTitles=["A"]), "2 HisItemIDs, 1 HisItemTitles"),
        (made_line(mode="v1"), "mode v1 needs a reason"),
        (made_line(mode="v4"), "line 1: mode"),
        (made_line(UserID=True), "line 1: UserID"),
        (made_line(answer="item", mode="v1", reason="Yes."), "v1 begins with Yes or No"),
        (made_line(answer="item", TargetItemTitle=None), "needs a TargetItemTitle"),
        (made_line(User_emb="../users.npz"), "lies outside"),
        (made_line(User_emb="/etc/users.npz"), "lies outside"),
        (made_line(User_emb=[]), "the vector of u is empty"),
        (made_line(History_embs=["base64:AAAA"]), "1 History_embs"),
        (made_line(User_emb="base64:???"), "no base64"),
        (made_line(User_emb="nowhere.npz"), "nowhere.npz is missing"),
        ("{", "line 1"),
    ],
)
def test_a_broken_line_is_named(tmp_path, line, message):
    (tmp_path / "r.jsonl").write_text(line)
    with pytest.raises(InputError, match=message):
        read_records(tmp_path / "r.jsonl")


def test_vectors_of_different_widths_are_refused(tmp_path):
    write_shard(Vectors(["a"], np.ones((1, 3), np.float32)), tmp_path / "a.npz")
    write_shard(Vectors(["b"], np.ones((1, 4), np.float32)), tmp_path / "b.npz")
    with pytest.raises(InputError, match="equally wide"):
        read_shards([tmp_path / "a.npz", tmp_path / "b.npz"])
    inline = [encode_vector(np.ones(3)), encode_vector(np.ones(4))]
    (tmp_path / "r.jsonl").write_text(made_line(History_embs=inline))
    with pytest.raises(InputError, match=r"widths \[3, 4\]"):
        read_records(tmp_path / "r.jsonl")


def test_broken_shards_are_named(tmp_path):
    (tmp_path / "broken.npz").write_bytes(b"nothing")
    (tmp_path / "broken.safetensors").write_bytes(b"nothing")
    write_shard(made_vectors("u", 5), tmp_path / "cut.npz")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "cut.npz").read_bytes()[:-40])
    with pytest.raises(InputError, match="no shard of vectors"):
        read_shards([tmp_path / "cut.npz"])
    for name in ("broken.npz", "broken.safetensors"):
        with pytest.raises(InputError, match="no shard of vectors"):
            read_shards([tmp_path / name])
    with pytest.raises(InputError, match="two vectors have the id a"):
        Vectors(["a", "a"], np.ones((2, 3), np.float32))
    with pytest.raises(InputError, match="NaN"):
        Vectors(["a"], np.full((1, 3), np.nan, np.float32))
    with pytest.raises(InputError, match="1 of 2 users have no vector, the first is b"):
        Vectors(["a"], np.ones((1, 3), np.float32)).require(["a", "b"], "users")


def test_interactions_become_a_positive_and_its_negatives():
    rows = [("u", item, time) for time, item in enumerate("abc")] + [("v", "a", 5), ("w", "b", 1), ("w", "d", 0)]
    table = pl.DataFrame(rows, schema=["user_id", "item_id", "time"], orient="row")
    records = from_interactions(table, {item: item.upper() for item in "abcdef"}, list("abcdef"), 2, seed=1)
    assert [record.user for record in records] == ["u"] * 3 + ["w"] * 3
    assert [record.label for record in records] == [1, 0, 0] * 2
    assert records[0].history == ("a", "b") and records[0].target == "c" and records[3].target == "b"
    assert {record.target for record in records[1:3]} <= set("def") and records[1].target != records[2].target
    assert records[0].titles == ("A", "B") and records[0].target_title == "C"
    repeated = pl.DataFrame([("u", "a", 0), ("u", "b", 1), ("u", "a", 2)], schema=table.columns, orient="row")
    first, *rest = from_interactions(repeated, {}, [*"abcd", *"dd"], 2, seed=1)
    assert (first.history, first.target) == (("b",), "a") and {record.target for record in rest} == {"c", "d"}
    with pytest.raises(InputError, match="user u has interactions with all but 3"):
        from_interactions(table, {}, list("abcdef"), 4, seed=1)


def test_negatives_of_many_items_are_uniform_and_depend_on_the_user_alone():
    """100 items are many beside three interactions and two negatives."""
    pool, users = [f"i{k:02}" for k in range(100)], 3000
    rows = [(f"u{user:04}", f"i{k:02}", k) for user in range(users) for k in range(3)]
    table = pl.DataFrame(rows, schema=["user_id", "item_id", "time"], orient="row")
    records = from_interactions(table, {}, pool, 2, seed=1)
    targets = np.array([int(record.target[1:]) for record in records]).reshape(users, 3)
    assert (targets[:, 0] == 2).all() and (targets[:, 1] != targets[:, 2]).all()
    shares, expected = np.bincount(targets[:, 1:].ravel(), minlength=100) / users, 2 / 97
    assert (shares[:3] == 0).all() and (np.abs(shares[3:] - expected) < 5 * np.sqrt(expected / users)).all()
    alone = from_interactions(table.filter(pl.col("user_id") == "u0007"), {}, pool, 2, seed=1)
    assert alone == records[21:24]


def test_pipeline_records_are_converted(dataset, items):
    records = dataset.records["B"]["train"].head(5)
    titles = {item_id: item["title"] for item_id, item in items.items()}
    item_lists = user_histories(records, dataset.interactions["train"])
    converted = from_records(records, item_lists, titles, 3, seed=1)
    assert len(converted) == 20 and sum(record.label for record in converted) == 5
    every = from_records(records, item_lists, titles, None, seed=1)
    assert len(every) == records["candidate_ids"].list.len().sum() and sum(record.label for record in every) == 5
    for row, group in zip(records.iter_rows(named=True), range(0, 20, 4), strict=True):
        of_record = converted[group : group + 4]
        assert of_record[0].target == row["gt_item_id"] and len({record.target for record in of_record}) == 4
        assert {record.target for record in of_record} <= set(row["candidate_ids"])
        assert not set(of_record[0].history) & {record.target for record in of_record}
        assert sorted(of_record[0].history) == sorted([*row["source_items"], *row["target_items"]])


def test_histories_are_in_time_order_across_both_domains(dataset):
    records, interactions = dataset.records["B"]["train"], dataset.interactions["train"]
    when = {(user, item): time for user, item, time in interactions.select("user_id", "item_id", "time").iter_rows()}
    interleaved = 0
    for user_key, items in user_histories(records, interactions).items():
        user = user_key.rpartition(":")[0]
        times = [when[user, item] for item in items]
        assert times == sorted(times)
        domains = interactions.filter(user_id=user).select("item_id", "domain")
        ordered = [dict(domains.iter_rows())[item] for item in items]
        interleaved += ordered != sorted(ordered, key=lambda name: name != KITREC.source)
    assert interleaved  # some users rated a book after a film: Books first would be another order


def test_labelled_rows_are_read(tmp_path):
    (tmp_path / "items.tsv").write_text("item\ttitle\n1\tOne\n2\tTwo\n")
    (tmp_path / "train.tsv").write_text("user\titem\trating\ttime\n7\t1\t1\t5\n7\t2\t0\t6\n")
    (tmp_path / "train_history.tsv").write_text("user\titem\tlabel\thistory\n7\t1\t1\t\n7\t2\t0\t1\n")
    converted = from_labelled(read_labelled(tmp_path, "train"), read_titles(tmp_path))
    rows = [(record.history, record.target_title, record.label) for record in converted]
    assert rows == [((), "One", 1), (("1",), "Two", 0)]
    (tmp_path / "train.tsv").write_text("user\titem\trating\ttime\n7\t1\t\t5\n7\t2\t0\t6\n")
    with pytest.raises(InputError, match="other rows"):
        read_labelled(tmp_path, "train")
    (tmp_path / "train_history.tsv").write_text("user\titem\tlabel\thistory\n7\t1\t\t\n7\t2\t0\t1\n")
    with pytest.raises(InputError, match=r"1 rows have no label .* user 7, item 1"):
        read_labelled(tmp_path, "train")


def test_template_rationales_agree_with_their_labels():
    categories = {"i1": ["Noir"], "i2": ["Noir", "War"], "i6": ["Noir"]}
    records = [made_record(k) for k in range(20)]
    explained, dropped = with_reasons(records, TemplateTeacher(categories))
    assert len(explained) == 20 and dropped == {"unexplained": 0, "contradicting_reasons": 0}
    assert all(record.mode == "v1" and record.provenance == "template" and record.reason for record in explained)
    assert not any(contradicts(record.reason, record.label) for record in explained)
    one = made_record(1, history=("i1", "i2"), titles=("a", "b"), target="i6")
    assert TemplateTeacher(categories).explain([one]) == ["Yes. Noir returns in the history."]


class Liar:
    """Explains two of three records, all by Yes."""

    name = "liar"

    def explain(self, records, **_):
        return [None if k % 3 == 0 else "Yes. Of course." for k, _ in enumerate(records)]


def test_missing_and_contradicting_rationales_are_counted():
    records = [made_record(k) for k in range(6)]  # labels 0 1 0 1 0 1
    explained, dropped = with_reasons(records, Liar())
    assert [record.label for record in explained] == [1, 1]
    assert dropped == {"unexplained": 2, "contradicting_reasons": 2}


def test_an_empty_table_has_no_records():
    empty = LabelledRows([], [], np.empty(0), [])
    assert from_labelled(empty, {}) == []
