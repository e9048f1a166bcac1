"""`kitrec thinkrec-records`: records of interactions or labelled rows of one's own."""

import json

import numpy as np
import polars as pl
import pytest
import torch
from sklearn.metrics import roc_auc_score
from typer.testing import CliRunner

from kitrec.cli.main import app
from kitrec.core.errors import InputError
from kitrec.recommenders.data.cross_domain_batches import Readers
from kitrec.recommenders.data.item_domains import Catalogue
from kitrec.recommenders.data.sequences import of_lists
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.recommenders.models import params as crossdomain
from kitrec.recommenders.models.bpr_mf import BPRMF
from kitrec.recommenders.ranking.full import represent
from kitrec.recommenders.storage import StoredModel, load_model, save_model
from kitrec.thinkrec.records import read_records
from tests.recommenders.made_models import a_model, model_params


def run(*arguments: object) -> str:
    return CliRunner().invoke(app, [str(own) for own in arguments], catch_exceptions=False).output


@pytest.fixture
def files_of_ones_own(tmp_path):
    rows = ["u,a,1", "u,b,2", "u,c,3", "v,b,1", "v,d,2", "w,a,9"]
    (tmp_path / "seen.csv").write_text("\n".join(["user,item,time", *rows]) + "\n")
    (tmp_path / "titles.tsv").write_text("item\ttitle\n" + "".join(f"{item}\tTitle {item}\n" for item in "abcdef"))
    (tmp_path / "genres.tsv").write_text("item\tgenre\na\tFjord\nb\tRiver\nc\tFjord\nd\tLamp\n")
    return tmp_path


def test_each_users_last_item_was_liked_and_untouched_ones_were_not(files_of_ones_own):
    at = files_of_ones_own
    told = run("thinkrec-records", at / "seen.csv", "--to", at / "r", "--titles", at / "titles.tsv", "--negatives", 1)
    assert "4 records, 0 with a reason" in told
    found = read_records(at / "r/records.jsonl").records
    liked = {own.user: (own.target, own.history) for own in found if own.label}
    assert liked == {"u": ("c", ("a", "b")), "v": ("d", ("b",))}  # w has one item: nothing comes before it
    assert {own.user: own.target for own in found if not own.label}["u"] == "d"  # the only one u never touched
    assert found[0].target_title == "Title c" and found[0].titles == ("Title a", "Title b")


def test_genres_say_why(files_of_ones_own):
    at = files_of_ones_own
    options = ["--titles", at / "titles.tsv", "--genres", at / "genres.tsv", "--negatives", 1]
    run("thinkrec-records", at / "seen.csv", "--to", at / "r", *options)
    reasons = [own for own in read_records(at / "r/records.jsonl").records if own.mode == "v1"]
    assert len(reasons) == 4
    why = {(own.user, own.target): own.reason for own in reasons}
    assert why["u", "c"].startswith("Yes") and "Fjord" in why["u", "c"]


def test_a_models_vectors_are_those_of_what_came_before(files_of_ones_own):
    at, vocabulary = files_of_ones_own, Vocabulary(list("abcd"))
    stored = StoredModel(a_model("sasrec", len(vocabulary)), vocabulary, np.ones(len(vocabulary) + 1, np.float32), {})
    save_model(stored, model_params("sasrec"), at / "model")
    options = ["--titles", at / "titles.tsv", "--model", at / "model", "--negatives", 1]
    run("thinkrec-records", at / "seen.csv", "--to", at / "r", *options)
    users = read_records(at / "r/records.jsonl").users
    state = (
        represent(load_model(at / "model").model, of_lists([vocabulary.numbers(pl.Series(["a", "b"]))]))
        .detach()
        .numpy()[0]
    )
    own = users.find("u")
    assert own @ state / np.linalg.norm(own) / np.linalg.norm(state) == pytest.approx(1, abs=1e-6)
    line = json.loads((at / "r/records.jsonl").read_text().splitlines()[0])
    assert line["User_emb"] == "users.safetensors" and line["TargetItem_emb"] == "items.safetensors"


def test_labelled_rows_keep_their_parts(tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own/items.tsv").write_text("item\ttitle\n1\tOne\n2\tTwo\n")
    for part in ("train", "valid", "test"):
        (tmp_path / f"own/{part}.tsv").write_text("user\titem\trating\ttime\n7\t1\t1\t5\n7\t2\t0\t6\n")
        history = "user\titem\tlabel\thistory\n7\t1\t1\t\n7\t2\t0\t1\n"
        (tmp_path / f"own/{part}_history.tsv").write_text(history)
    run("thinkrec-records", tmp_path / "own", "--to", tmp_path / "r")
    for part in ("train", "valid", "test"):
        found = read_records(tmp_path / f"r/{part}.jsonl").records
        assert [(own.target, own.history, own.label) for own in found] == [("1", (), 1), ("2", ("1",), 0)]


def test_labelled_rows_bring_vectors_of_items_alone(tmp_path):
    """One vector a user would hold what was liked in their earlier rows: the answers."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own/items.tsv").write_text("item\ttitle\n" + "".join(f"{item}\tTitle {item}\n" for item in "abcd"))
    rows = {"train": [("b", "a")], "valid": [("c", "a b")], "test": [("d", "a b c")]}
    for part, listed in rows.items():
        lines = "".join(f"7\t{item}\t1\t5\n" for item, _ in listed)
        (tmp_path / f"own/{part}.tsv").write_text("user\titem\trating\ttime\n" + lines)
        shown = "".join(f"7\t{item}\t1\t{history}\n" for item, history in listed)
        (tmp_path / f"own/{part}_history.tsv").write_text("user\titem\tlabel\thistory\n" + shown)
    vocabulary = Vocabulary(list("abcd"))
    stored = StoredModel(a_model("sasrec", len(vocabulary)), vocabulary, np.ones(len(vocabulary) + 1, np.float32), {})
    save_model(stored, model_params("sasrec"), tmp_path / "model")
    run("thinkrec-records", tmp_path / "own", "--to", tmp_path / "r", "--model", tmp_path / "model")
    for part in rows:
        read = read_records(tmp_path / f"r/{part}.jsonl")
        assert read.users is None and sorted(read.items.ids) == list("abcd")
    (tmp_path / "own/items.tsv").write_text("item\ttitle\nz\tTitle z\n")
    save_model(
        StoredModel(stored.model, Vocabulary(list("wxyz")), stored.popularity, {}),
        model_params("sasrec"),
        tmp_path / "other",
    )
    with pytest.raises(InputError, match="knows none of these items"):
        run("thinkrec-records", tmp_path / "own", "--to", tmp_path / "s", "--model", tmp_path / "other")


def test_labelled_rows_bring_the_vectors_of_matrix_factorisation(tmp_path):
    """Users of one group like the first items, those of the other the last: their vectors must tell."""
    (tmp_path / "own").mkdir()
    items = [f"i{k}" for k in range(12)]
    (tmp_path / "own/items.tsv").write_text("item\ttitle\n" + "".join(f"{item}\tTitle {item}\n" for item in items))
    # half of each group's taste, and i0 is liked by all: that is known by its bias
    liked = [(u, i, int(k == 0 or (u < 30) == (k < 6))) for u in range(60) for k, i in enumerate(items)]
    parts = {"train": [own for n, own in enumerate(liked) if n % 5 > 1], "valid": liked[::5], "test": liked[1::5]}
    for part, own in parts.items():
        rows = "".join(f"{u}\t{i}\t{label}\t5\n" for u, i, label in own)
        (tmp_path / f"own/{part}.tsv").write_text("user\titem\trating\ttime\n" + rows)
        shown = "".join(f"{u}\t{i}\t{label}\t\n" for u, i, label in own)
        (tmp_path / f"own/{part}_history.tsv").write_text("user\titem\tlabel\thistory\n" + shown)
    run("thinkrec-records", tmp_path / "own", "--to", tmp_path / "r", "--mf")
    read = read_records(tmp_path / "r/test.jsonl")
    scores = np.array([read.users.find(own.user) @ read.items.find(own.target) for own in read.records])
    assert roc_auc_score([own.label for own in read.records], scores) > 0.9
    with pytest.raises(InputError, match="--mf"):
        run("thinkrec-records", tmp_path / "own", "--to", tmp_path / "s", "--mf", "--model", tmp_path)


def test_vectors_of_bpr_mf_are_read_as_those_of_a_sequence_model_are(files_of_ones_own):
    at, vocabulary = files_of_ones_own, Vocabulary(list("abcd"))
    p = crossdomain.BPRMF(kind="bpr_mf", hidden=4, negatives=1)
    torch.manual_seed(0)
    model = BPRMF(Catalogue(np.array([0, 1, 1, 2, 2])), None, p)
    torch.nn.init.normal_(model.bias.weight)
    save_model(StoredModel(model, vocabulary, np.ones(5, np.float32), {}), p, at / "model")
    run("thinkrec-records", at / "seen.csv", "--to", at / "r", "--titles", at / "titles.tsv", "--model", at / "model",
        "--negatives", 1)  # fmt: skip
    read = read_records(at / "r/records.jsonl")
    (wanted,) = model.candidate_scores(Readers(of_lists([[1, 2]])), np.array([[1, 2, 3, 4]]))  # u met a and b before
    assert np.array_equal(np.argsort(read.items.rows @ read.users.find("u")), np.argsort(wanted))


def test_what_is_missing_is_named(files_of_ones_own):
    at = files_of_ones_own
    (at / "others.tsv").write_text("item\ttitle\nX1\tOne\n")
    with pytest.raises(InputError, match=r"others.tsv names none of the 4 items"):
        run("thinkrec-records", at / "seen.csv", "--to", at / "r", "--titles", at / "others.tsv")
    with pytest.raises(InputError, match=r"--genres .* names none of the items"):
        run("thinkrec-records", at / "seen.csv", "--to", at / "r", "--titles", at / "titles.tsv", "--genres",
            at / "others.tsv", "--negatives", 1)  # fmt: skip
    with pytest.raises(InputError, match="--titles"):
        run("thinkrec-records", at / "seen.csv", "--to", at / "r")
    with pytest.raises(InputError, match="is there already"):
        run("thinkrec-records", at / "seen.csv", "--to", at, "--titles", at / "titles.tsv")
    with pytest.raises(InputError, match="user u touched all but 1"):
        run("thinkrec-records", at / "seen.csv", "--to", at / "r", "--titles", at / "titles.tsv", "--negatives", 2)
    assert not (at / "r").exists()
