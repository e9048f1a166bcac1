"""`kitrec thinkrec-records`: records from interactions or labelled rows."""

import json

import numpy as np
import polars as pl
import pytest
import torch
from sklearn.metrics import roc_auc_score
from typer.testing import CliRunner

from kitrec.cli.main import app
from kitrec.core.errors import InputError
from kitrec.recommenders.data.cross_domain_batches import UserHistories
from kitrec.recommenders.data.item_domains import ItemDomains
from kitrec.recommenders.data.sequences import sequences_from_lists
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.recommenders.models import params as model_kinds
from kitrec.recommenders.models.bpr_mf import BPRMF
from kitrec.recommenders.ranking.full import represent
from kitrec.recommenders.storage import StoredModel, load_model, save_model
from kitrec.thinkrec.records import read_records
from tests.recommenders.made_models import made_model, model_params


def run(*arguments: object) -> str:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False).output


def made_stored_model(vocabulary: Vocabulary) -> StoredModel:
    popularity = np.ones(len(vocabulary) + 1, np.float32)
    return StoredModel(made_model("sasrec", len(vocabulary)), vocabulary, popularity, {})


@pytest.fixture
def made_files(tmp_path):
    rows = ["u,a,1", "u,b,2", "u,c,3", "v,b,1", "v,d,2", "w,a,9"]
    (tmp_path / "log.csv").write_text("\n".join(["user,item,time", *rows]) + "\n")
    (tmp_path / "titles.tsv").write_text("item\ttitle\n" + "".join(f"{item}\tTitle {item}\n" for item in "abcdef"))
    (tmp_path / "genres.tsv").write_text("item\tgenre\na\tFjord\nb\tRiver\nc\tFjord\nd\tLamp\n")
    return tmp_path


def test_the_last_item_is_positive_and_items_without_interaction_are_negative(made_files):
    at = made_files
    output = run("thinkrec-records", at / "log.csv", "--to", at / "r", "--titles", at / "titles.tsv", "--negatives", 1)
    assert "4 records, 0 with a rationale" in output
    records = read_records(at / "r/records.jsonl").records
    labelled = {record.user: (record.target, record.history) for record in records if record.label}
    assert labelled == {"u": ("c", ("a", "b")), "v": ("d", ("b",))}  # w has one item: nothing comes before it
    negatives = {record.user: record.target for record in records if not record.label}
    assert negatives["u"] == "d"  # the only item without an interaction of u
    assert records[0].target_title == "Title c" and records[0].titles == ("Title a", "Title b")


def test_genres_add_rationales(made_files):
    at = made_files
    options = ["--titles", at / "titles.tsv", "--genres", at / "genres.tsv", "--negatives", 1]
    run("thinkrec-records", at / "log.csv", "--to", at / "r", *options)
    reasons = [record for record in read_records(at / "r/records.jsonl").records if record.mode == "v1"]
    assert len(reasons) == 4
    reasons_of = {(record.user, record.target): record.reason for record in reasons}
    assert reasons_of["u", "c"].startswith("Yes") and "Fjord" in reasons_of["u", "c"]


def test_user_vectors_of_a_model_encode_the_items_before_the_target(made_files):
    at, vocabulary = made_files, Vocabulary(list("abcd"))
    stored = StoredModel(
        made_model("sasrec", len(vocabulary)), vocabulary, np.ones(len(vocabulary) + 1, np.float32), {}
    )
    save_model(stored, model_params("sasrec"), at / "model")
    options = ["--titles", at / "titles.tsv", "--model", at / "model", "--negatives", 1]
    run("thinkrec-records", at / "log.csv", "--to", at / "r", *options)
    users = read_records(at / "r/records.jsonl").users
    state = (
        represent(load_model(at / "model").model, sequences_from_lists([vocabulary.numbers(pl.Series(["a", "b"]))]))
        .detach()
        .numpy()[0]
    )
    vector = users.find("u")
    assert vector @ state / np.linalg.norm(vector) / np.linalg.norm(state) == pytest.approx(1, abs=1e-6)
    line = json.loads((at / "r/records.jsonl").read_text().splitlines()[0])
    assert line["User_emb"] == "users.safetensors" and line["TargetItem_emb"] == "items.safetensors"


def test_labelled_rows_keep_their_parts(tmp_path):
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows/items.tsv").write_text("item\ttitle\n1\tOne\n2\tTwo\n")
    for part in ("train", "valid", "test"):
        (tmp_path / f"rows/{part}.tsv").write_text("user\titem\trating\ttime\n7\t1\t1\t5\n7\t2\t0\t6\n")
        history = "user\titem\tlabel\thistory\n7\t1\t1\t\n7\t2\t0\t1\n"
        (tmp_path / f"rows/{part}_history.tsv").write_text(history)
    run("thinkrec-records", tmp_path / "rows", "--to", tmp_path / "r")
    for part in ("train", "valid", "test"):
        records = read_records(tmp_path / f"r/{part}.jsonl").records
        assert [(record.target, record.history, record.label) for record in records] == [("1", (), 1), ("2", ("1",), 0)]


def test_labelled_rows_get_vectors_of_items_only(tmp_path):
    """A single vector per user would reveal the labels of their earlier rows."""
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows/items.tsv").write_text("item\ttitle\n" + "".join(f"{item}\tTitle {item}\n" for item in "abcd"))
    rows = {"train": [("b", "a")], "valid": [("c", "a b")], "test": [("d", "a b c")]}
    for part, part_rows in rows.items():
        lines = "".join(f"7\t{item}\t1\t5\n" for item, _ in part_rows)
        (tmp_path / f"rows/{part}.tsv").write_text("user\titem\trating\ttime\n" + lines)
        shown = "".join(f"7\t{item}\t1\t{history}\n" for item, history in part_rows)
        (tmp_path / f"rows/{part}_history.tsv").write_text("user\titem\tlabel\thistory\n" + shown)
    vocabulary = Vocabulary(list("abcd"))
    stored = StoredModel(
        made_model("sasrec", len(vocabulary)), vocabulary, np.ones(len(vocabulary) + 1, np.float32), {}
    )
    save_model(stored, model_params("sasrec"), tmp_path / "model")
    run("thinkrec-records", tmp_path / "rows", "--to", tmp_path / "r", "--model", tmp_path / "model")
    for part in rows:
        read = read_records(tmp_path / f"r/{part}.jsonl")
        assert read.users is None and sorted(read.items.ids) == list("abcd")
    (tmp_path / "rows/items.tsv").write_text("item\ttitle\nz\tTitle z\n")
    save_model(
        StoredModel(stored.model, Vocabulary(list("wxyz")), stored.popularity, {}),
        model_params("sasrec"),
        tmp_path / "other",
    )
    with pytest.raises(InputError, match="knows none of these items"):
        run("thinkrec-records", tmp_path / "rows", "--to", tmp_path / "s", "--model", tmp_path / "other")


def test_labelled_rows_get_the_vectors_of_matrix_factorisation(tmp_path):
    """Users of one group like the first items, those of the other the last: their vectors must separate them."""
    (tmp_path / "rows").mkdir()
    items = [f"i{k}" for k in range(12)]
    (tmp_path / "rows/items.tsv").write_text("item\ttitle\n" + "".join(f"{item}\tTitle {item}\n" for item in items))
    # each group likes one half of the items, and all users like i0, which its bias expresses
    labelled = [(u, i, int(k == 0 or (u < 30) == (k < 6))) for u in range(60) for k, i in enumerate(items)]
    parts = {
        "train": [row for n, row in enumerate(labelled) if n % 5 > 1],
        "valid": labelled[::5],
        "test": labelled[1::5],
    }
    for part, part_rows in parts.items():
        rows = "".join(f"{u}\t{i}\t{label}\t5\n" for u, i, label in part_rows)
        (tmp_path / f"rows/{part}.tsv").write_text("user\titem\trating\ttime\n" + rows)
        shown = "".join(f"{u}\t{i}\t{label}\t\n" for u, i, label in part_rows)
        (tmp_path / f"rows/{part}_history.tsv").write_text("user\titem\tlabel\thistory\n" + shown)
    run("thinkrec-records", tmp_path / "rows", "--to", tmp_path / "r", "--mf")
    read = read_records(tmp_path / "r/test.jsonl")
    scores = np.array([read.users.find(record.user) @ read.items.find(record.target) for record in read.records])
    assert roc_auc_score([record.label for record in read.records], scores) > 0.9
    with pytest.raises(InputError, match="--mf"):
        run("thinkrec-records", tmp_path / "rows", "--to", tmp_path / "s", "--mf", "--model", tmp_path)


def test_vectors_of_bpr_mf_keep_its_order_of_items(made_files):
    at, vocabulary = made_files, Vocabulary(list("abcd"))
    p = model_kinds.BPRMF(kind="bpr_mf", hidden_size=4, negatives=1)
    torch.manual_seed(0)
    model = BPRMF(ItemDomains(np.array([0, 1, 1, 2, 2])), None, p)
    torch.nn.init.normal_(model.bias.weight)
    save_model(StoredModel(model, vocabulary, np.ones(5, np.float32), {}), p, at / "model")
    run("thinkrec-records", at / "log.csv", "--to", at / "r", "--titles", at / "titles.tsv", "--model", at / "model",
        "--negatives", 1)  # fmt: skip
    read = read_records(at / "r/records.jsonl")
    history = UserHistories(sequences_from_lists([[1, 2]]))  # of u: a and b
    (expected,) = model.candidate_scores(history, np.array([[1, 2, 3, 4]]))
    assert np.array_equal(np.argsort(read.items.rows @ read.users.find("u")), np.argsort(expected))


def test_missing_inputs_are_named(made_files):
    at = made_files
    (at / "others.tsv").write_text("item\ttitle\nX1\tOne\n")
    with pytest.raises(InputError, match=r"others.tsv names none of the 4 items"):
        run("thinkrec-records", at / "log.csv", "--to", at / "r", "--titles", at / "others.tsv")
    with pytest.raises(InputError, match=r"--genres .* names none of the target items"):
        run("thinkrec-records", at / "log.csv", "--to", at / "r", "--titles", at / "titles.tsv", "--genres",
            at / "others.tsv", "--negatives", 1)  # fmt: skip
    with pytest.raises(InputError, match="--titles"):
        run("thinkrec-records", at / "log.csv", "--to", at / "r")
    with pytest.raises(InputError, match="is there already"):
        run("thinkrec-records", at / "log.csv", "--to", at, "--titles", at / "titles.tsv")
    with pytest.raises(InputError, match="user u has interactions with all but 1"):
        run(
            "thinkrec-records",
            at / "log.csv",
            "--to",
            at / "r",
            "--titles",
            at / "titles.tsv",
            "--negatives",
            2,
        )
    assert not (at / "r").exists()
