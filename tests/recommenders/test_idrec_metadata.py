"""Metadata files, their fusion into items, vectors of titles, and the best items of a reader."""

import gc
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from typer.testing import CliRunner

from kitrec.cli.main import app
from kitrec.core.errors import InputError
from kitrec.onnx.prediction import predict as predict_from
from kitrec.recommenders.data import title_embeddings
from kitrec.recommenders.data.interaction_files import read_interactions
from kitrec.recommenders.data.item_features import known_of
from kitrec.recommenders.data.item_metadata import Known
from kitrec.recommenders.data.metadata_files import read_metadata, read_years
from kitrec.recommenders.data.sequences import of_lists
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.recommenders.models.metadata_fusion import Fusion
from kitrec.recommenders.params import Metadata
from kitrec.recommenders.ranking.top_k import predict
from kitrec.recommenders.storage import StoredModel, load_model, save_model
from tests.recommenders.made_models import ITEMS, a_model, model_params, some_sequences

VOCABULARY = Vocabulary(["a", "b", "c"])


def known() -> Known:
    """Items 0 ... 4 (padding, a, b, c, mask): a has genres 0 and 2, b has 1, c none."""
    return Known({"genre": of_lists([[], [0, 2], [1], [], []])}, {"genre": 3}, None)


def fusion(kind: str, own: Known, *features: str) -> Fusion:
    torch.manual_seed(1)
    return Fusion(4, own, Metadata(features=list(features), fusion=kind, dropout=0.0), mask=4).eval()


def test_added_genres_are_the_mean_of_their_embeddings():
    layer, own = fusion("add", known(), "genre"), torch.randn(3, 4)
    table = layer.bags["genre"].weight
    expected = own + torch.stack([(table[0] + table[2]) / 2, table[1], torch.zeros(4)])
    assert torch.allclose(layer(own, torch.tensor([1, 2, 3])), expected, atol=1e-6)


def test_a_gate_weighs_item_and_features_and_its_mean_is_told_once():
    both = Known(known().values, known().counts, np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32))
    layer, own, items = fusion("gate", both, "genre", "title"), torch.randn(2, 4), torch.tensor([1, 2])
    table = layer.bags["genre"].weight
    genre = torch.stack([(table[0] + table[2]) / 2, table[1]])
    title = torch.from_numpy(both.titles[1:3]) @ layer.project.weight.T + layer.project.bias
    gates = (torch.cat([own, genre, title], 1) @ layer.mix.weight.T + layer.mix.bias).softmax(1)
    expected = gates[:, :1] * own + gates[:, 1:2] * genre + gates[:, 2:] * title
    assert torch.allclose(layer(own, items), expected, atol=1e-6)
    told = layer.mean_gates()
    assert list(told) == ["item", "genre", "title"] and sum(told.values()) == pytest.approx(1, abs=1e-6)
    assert told["genre"] == pytest.approx(gates[:, 1].mean().item(), abs=1e-6)
    assert layer.mean_gates() == {}


def test_concatenation_is_one_linear_map():
    layer, own = fusion("concat", known(), "genre"), torch.randn(1, 4)
    together = torch.cat([own, layer.bags["genre"].weight[1:2]], 1)
    assert torch.allclose(layer(own, torch.tensor([2])), layer.mix(together), atol=1e-6)


def test_a_feature_that_is_not_known_is_switched_off():
    layer = fusion("gate", known(), "genre", "director", "title")
    assert layer.names == ["item", "genre"]
    assert fusion("gate", Known(), "genre").names == ["item"]


@pytest.mark.parametrize("kind", ["add", "concat", "gate"])
def test_a_model_with_metadata_comes_back_as_it_was(kind, tmp_path):
    rng = np.random.default_rng(0)
    lists = of_lists([[], *(rng.integers(0, 5, size=2) for _ in range(ITEMS)), []])
    own = Known({"genre": lists}, {"genre": 5}, rng.normal(size=(ITEMS + 2, 6)).astype(np.float32))
    p = model_params("bert4rec", metadata=Metadata(features=["genre", "title"], fusion=kind, dropout=0.0))
    model = a_model("bert4rec", known=own, metadata=p.metadata)
    vocabulary = Vocabulary(f"i{k:02}" for k in range(ITEMS))
    stored = StoredModel(model, vocabulary, np.zeros(ITEMS + 1, dtype=np.float32), {})
    save_model(stored, p, tmp_path / "model", own)
    back = load_model(tmp_path / "model").model
    histories = some_sequences(5).extended(ITEMS + 1)
    from kitrec.recommenders.data.packed_batches import pack

    assert torch.equal(model.represent(pack(histories)), back.represent(pack(histories)))


def write(folder: Path, name: str, *rows: str) -> Path:
    path = folder / name
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def test_files_are_read_with_unknown_missing_and_double_rows_told(tmp_path):
    write(tmp_path, "genres.tsv", "item\tgenre", "a\tDrama", "a\tComedy", "a\tDrama", "x\tWestern", "b\tDrama")
    read = read_metadata(tmp_path, VOCABULARY, ["genre", "director"])
    lists = read.known.values["genre"]
    assert [lists[k].tolist() for k in range(5)] == [[], [0, 1], [1], [], []] and read.known.counts == {"genre": 2}
    assert read.notices == [
        "genres.tsv: 1 rows of unknown items left out, 1 items without a row, 2 values",
        f"director is off: there is no {tmp_path / 'directors.tsv'}",
    ]


def test_vectors_are_told_from_titles_by_what_is_in_them(tmp_path):
    write(tmp_path, "titles.tsv", "item\ttitle", "a\t0.5 1 2", "c\t1 2 3")
    vectors = read_metadata(tmp_path, VOCABULARY, ["title"]).known.titles
    assert vectors.tolist() == [[0] * 3, [0.5, 1, 2], [0] * 3, [1, 2, 3], [0] * 3]
    write(tmp_path, "titles.tsv", "item\ttitle", "a\t2001", "c\tSolaris")
    with pytest.raises(InputError, match="kitrec title-embeddings"):
        read_metadata(tmp_path, VOCABULARY, ["title"])


@pytest.mark.parametrize("row", ["b\t1 2", "b\t1 x 3"])
def test_a_broken_vector_is_named(tmp_path, row):
    write(tmp_path, "titles.tsv", "item\ttitle", "a\t0.5 1 2", row, "c\t1 2 3")
    with pytest.raises(InputError, match="vectors of 1 items are broken or not 3 wide: b"):
        read_metadata(tmp_path, VOCABULARY, ["title"])


def test_years_are_by_item_number(tmp_path):
    years, _ = read_years(write(tmp_path, "years.tsv", "item\tyear", "c\t1999", "a\tunknown"), VOCABULARY)
    assert np.isnan(years[[0, 1, 2]]).all() and years[3] == 1999


def test_a_date_counts_by_its_year_the_first_of_several_years_and_what_has_none_is_told(tmp_path):
    rows = ["a\t1990-05-01", "b\t2010", "b\t1990.0", "c\tsoon", "x\t2000"]
    years, notice = read_years(write(tmp_path, "years.tsv", "item\tyear", *rows), VOCABULARY)
    assert years[1:3].tolist() == [1990, 1990] and np.isnan(years[3])
    assert "1 rows of unknown items left out, 0 items without a row, 1 rows without a year" in notice


def test_titles_that_begin_with_numbers_are_titles(tmp_path):
    write(tmp_path, "titles.tsv", "item\ttitle", "a\t300 500", "b\tSolaris", "c\tStalker")
    with pytest.raises(InputError, match="holds titles, not their vectors"):
        read_metadata(tmp_path, VOCABULARY, ["title"])


def test_an_item_with_two_vectors_and_a_file_in_another_code_are_named(tmp_path):
    path = write(tmp_path, "titles.tsv", "item\ttitle", "a\t1 2", "b\t3 4", "a\t5 6")
    with pytest.raises(InputError, match="1 items have more than one vector: a"):
        read_metadata(tmp_path, VOCABULARY, ["title"])
    path.write_bytes("item\ttitle\na\tAmélie\n".encode("latin-1"))
    with pytest.raises(InputError, match="no text in UTF-8"):
        read_metadata(tmp_path, VOCABULARY, ["title"])


def test_empty_names_dates_and_an_upper_case_suffix(tmp_path):
    read = read_interactions(write(tmp_path, "i.CSV", "user,item,time", '"",b,7', 'u,"",3', "u,a,1"))
    assert (read.users, read.left_out) == (["u"], 2)
    with pytest.raises(InputError, match="a number"):
        read_interactions(write(tmp_path, "d.csv", "user,item,time", "u,a,2020-01-01"))


def test_interactions_are_sorted_by_time_and_bad_rows_counted(tmp_path):
    path = write(tmp_path, "i.csv", "user,item,time,rating", "u,b,2,5", "u,a,1,5", "v,c,x,1", "v,a,3,", "u,c,2,1")
    read = read_interactions(path)
    assert read.users == ["u", "v"] and read.left_out == 1 and read.newest == [2.0, 3.0]
    assert [read.vocabulary.ids(read.sequences[k]) for k in range(2)] == [["a", "b", "c"], ["a"]]
    assert read_interactions(path, fewest=2).users == ["u"]


@pytest.mark.parametrize(
    ("rows", "said"), [(["user,thing,time", "u,a,1"], "lacks the column item"), (["user,item,time"], "no user has")]
)
def test_what_is_no_table_of_interactions_is_one_message(tmp_path, rows, said):
    with pytest.raises(InputError, match=said):
        read_interactions(write(tmp_path, "i.csv", *rows))


def test_the_items_table_gives_categories_and_titles():
    items = pl.DataFrame(
        {
            "item_id": ["b", "a", "x", "c"],
            "title": ["red planet", "red planet", "red planet", None],
            "categories": [["Drama"], ["Drama", "Action"], ["War"], []],
        }
    )
    known_, off = known_of(items, VOCABULARY, ["genre", "title", "writer"], seed=1)
    assert [known_.values["genre"][k].tolist() for k in range(5)] == [[], [0, 1], [1], [], []]
    assert known_.counts == {"genre": 2}
    assert np.allclose(np.abs(known_.titles[1]), np.abs(known_.titles[2])) and not known_.titles[3].any()
    assert off == ["writer is off: the items table does not tell it"]


def test_texts_carry_their_genres():
    names = pl.DataFrame({"item": ["a", "b"], "value": ["Alien", "Brazil"]})
    genres = pl.DataFrame({"item": ["a", "a"], "value": ["Horror", "Science"]})
    assert title_embeddings.texts(names, genres)["text"].to_list() == ["Alien. Genres: Horror, Science", "Brazil"]


def test_tfidf_puts_titles_of_shared_words_together():
    lines = ["red planet mission", "red planet landing", "summer kitchen stories", "summer kitchen recipes"]
    vectors = title_embeddings.by_tfidf(lines, seed=1)
    near = vectors @ vectors.T
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert near[0, 1] > 0.99 and abs(near[0, 2]) < 0.01
    with pytest.raises(InputError, match="nothing to say"):
        title_embeddings.by_tfidf(["one", "two"], seed=1)


def test_an_embeddings_file_reads_back_and_the_old_one_is_kept(tmp_path):
    to = write(tmp_path, "titles.tsv", "old")
    vectors = np.random.default_rng(0).normal(size=(2, 3)).astype(np.float32)
    title_embeddings.write_vectors(["a", "c"], vectors, to)
    assert (tmp_path / "titles.tsv.backup").read_text() == "old\n"
    read = read_metadata(tmp_path, VOCABULARY, ["title"]).known.titles
    assert np.allclose(read[[1, 3]], vectors, rtol=1e-5)


def test_the_best_items_leave_out_the_seen_the_excluded_and_the_future():
    vocabulary = Vocabulary(f"i{k:02}" for k in range(ITEMS))
    stored = StoredModel(a_model("sasrec"), vocabulary, np.arange(ITEMS + 1, dtype=np.float32), {})
    histories = of_lists([[1, 2, 3], [], [4]])
    years = np.full(ITEMS + 1, np.nan)
    years[20:] = 2010
    found = predict(stored, histories, ITEMS, np.array([5, 6]), years, np.array([2009, 2009, 2010]))
    numbers = [set(vocabulary.numbers(pl.Series(own)).tolist()) for own in found.items]
    allowed = set(range(1, ITEMS + 1)) - {5, 6}
    assert numbers == [allowed - {1, 2, 3} - set(range(20, 31)), allowed - set(range(20, 31)), allowed - {4}]
    assert (found.from_the_future, found.readers_with_future) == (22, 2)
    assert all(scores == sorted(scores, reverse=True) for scores in found.scores)
    assert found.items[1][:2] == ["i18", "i17"]  # nothing known of the reader: popularity
    top = predict(stored, histories, 3)
    weight = stored.model.items.weight[1:]
    from kitrec.recommenders.ranking.full import represent

    logits = (represent(stored.model, of_lists([[4]])) @ weight.T)[0].detach().numpy()
    logits[3] = -np.inf
    assert top.items[2] == vocabulary.ids(np.argsort(-logits)[:3] + 1)


def test_the_commands_work_on_files(tmp_path):
    vocabulary = Vocabulary(f"i{k:02}" for k in range(ITEMS))
    stored = StoredModel(a_model("sasrec"), vocabulary, np.arange(ITEMS + 1, dtype=np.float32), {})
    save_model(stored, model_params("sasrec"), tmp_path / "model")
    write(tmp_path, "i.tsv", "user\titem\ttime", "u\ti01\t0", "u\tnew\t5", "v\ti02\t86400")
    write(tmp_path, "years.tsv", "item\tyear", *(f"i{k:02}\t{1960 + k}" for k in range(ITEMS)))
    write(tmp_path, "not.txt", "i05")

    def kitrec(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "kitrec.cli.main", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    done = kitrec("predict", "model", "i.tsv", "--to", "out.tsv", "--exclude", "not.txt", "--metadata", ".")
    assert done.returncode == 0, done.stderr
    assert "1 interactions with unknown items" in done.stdout
    assert f"{2 * 19} items from the future left out, of 2 readers" in done.stdout
    rows = pl.read_csv(tmp_path / "out.tsv", separator="\t")
    offered = set(rows.filter(pl.col("user") == "u")["item"])
    assert offered == {f"i{k:02}" for k in range(11)} - {"i01", "i05"}
    write(
        tmp_path, "titles.tsv", "item\ttitle", *(f"i{k:02}\tred planet {'one' if k % 2 else 'two'}" for k in range(9))
    )
    (tmp_path / "years.tsv").unlink()
    done = kitrec("title-embeddings", ".", "--to", "vectors.tsv")
    assert done.returncode == 0 and "9 titles" in done.stdout, done.stderr
    done = kitrec("predict", "model", "i.tsv", "--to", "out.tsv", "--metadata", ".")
    assert done.returncode == 1 and "years.tsv is missing" in done.stderr and "Traceback" not in done.stderr


def test_a_gate_keeps_a_sum_not_every_place_it_weighed():
    layer = fusion("gate", known(), "genre")
    calls = [(torch.randn(n, 4), torch.randint(1, 4, (n,))) for n in (300, 7)]
    parts = [(own, layer._feature("genre", items)) for own, items in calls]
    gates = torch.cat([layer.mix(torch.cat(both, dim=1)).softmax(1) for both in parts])
    for own, items in calls:
        layer(own, items)
    alive = [own.shape for own in gc.get_objects() if type(own) is torch.Tensor and own.shape == (300, 2)]
    assert layer.mean_gates()["genre"] == pytest.approx(gates[:, 1].mean().item(), abs=1e-6)
    assert alive == []


def test_a_file_of_other_items_is_told(tmp_path):
    write(tmp_path, "titles.tsv", "item\ttitle", "x\t1 2")
    with pytest.raises(InputError, match=r"titles\.tsv knows none of the 3 items"):
        read_metadata(tmp_path, VOCABULARY, ["title"])


def test_vectors_may_stand_apart_by_any_space_but_hold_numbers_alone(tmp_path):
    write(tmp_path, "titles.tsv", "item\ttitle", "a\t1  2 ", "b\t3 4")
    assert read_metadata(tmp_path, VOCABULARY, ["title"]).known.titles[1:3].tolist() == [[1, 2], [3, 4]]
    write(tmp_path, "titles.tsv", "item\ttitle", "a\t1 2", "b\t3 nan", "c\t5 6")
    with pytest.raises(InputError, match="vectors of 1 items are broken"):
        read_metadata(tmp_path, VOCABULARY, ["title"])


def test_a_last_visit_has_its_calendar_year(tmp_path):
    moments = {"u": "2004-12-31T23:59:59", "v": "2005-01-01T00:00:00", "w": "1971-01-01T00:00:01"}
    rows = [f"{user},a,{int(np.datetime64(moment, 's').astype(int))}" for user, moment in moments.items()]
    assert read_interactions(write(tmp_path, "i.csv", "user,item,time", *rows)).last_years().tolist() == [
        2004,
        2005,
        1971,
    ]
    for far in ("1104537599000", "1e30", "-1e30"):
        read = read_interactions(write(tmp_path, "m.csv", "user,item,time", f"u,a,{far}"))
        with pytest.raises(InputError, match="times are to be seconds since 1970"):
            read.last_years()


@pytest.mark.parametrize("time", ["nan", "inf", "-inf"])
def test_a_time_that_is_no_number_is_left_out(time, tmp_path):
    read = read_interactions(write(tmp_path, "i.csv", "user,item,time", f"u,a,{time}", "u,b,1"))
    assert (read.left_out, read.newest) == (1, [1.0])


def test_an_item_with_two_titles_is_named(tmp_path):
    write(tmp_path, "titles.tsv", "item\ttitle", "a\tOne", "a\tTwo", "b\tThree")
    with pytest.raises(InputError, match="1 items have more than one title, as a"):
        CliRunner().invoke(
            app, ["title-embeddings", str(tmp_path), "--to", str(tmp_path / "v.tsv")], catch_exceptions=False
        )


def test_several_directors_are_told(tmp_path):
    write(tmp_path, "directors.tsv", "item\tdirector", "a\tOne", "a\tTwo", "b\tThree")
    notices = read_metadata(tmp_path, VOCABULARY, ["director"]).notices
    assert any("1 items have several directors" in own for own in notices)


def test_the_function_predicts_from_a_folder_by_ids(tmp_path):
    vocabulary = Vocabulary(f"i{k:02}" for k in range(ITEMS))
    stored = StoredModel(a_model("sasrec"), vocabulary, np.arange(ITEMS + 1, dtype=np.float32), {})
    save_model(stored, model_params("sasrec"), tmp_path / "run/best-000001-ndcg@10-0.1")
    asked = [["i00", "i01", "unknown"], []]
    expected = predict(stored, of_lists([[1, 2], []]), 4, np.array([3]))
    for folder in (tmp_path / "run", tmp_path / "run/best-000001-ndcg@10-0.1"):
        found = predict_from(folder, asked, 4, ["i02", "nobody"])
        assert found.items == expected.items
        assert np.allclose(found.scores[0], expected.scores[0], atol=1e-5)
    assert "i02" not in found.items[0] and len(predict_from(folder, asked).items[0]) == 10


def test_a_bert_with_any_weights_makes_title_vectors_by_command(tmp_path):
    """The mean over each text's own tokens, worked out one by one without padding."""
    from transformers import BertConfig, BertModel, BertTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "war", "mars", "bread", "genres", ":", ".", "home"]
    (tmp_path / "m").mkdir()
    (tmp_path / "m/vocab.txt").write_text("\n".join(words) + "\n")
    tokenizer = BertTokenizerFast(vocab_file=str(tmp_path / "m/vocab.txt"))
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    torch.manual_seed(0)
    model = BertModel(BertConfig(vocab_size=len(words), **sizes)).eval()
    tokenizer.save_pretrained(tmp_path / "m")
    model.save_pretrained(tmp_path / "m")
    write(tmp_path, "titles.tsv", "item\ttitle", "a\tWar Mars war", "b\tBread")
    write(tmp_path, "genres.tsv", "item\tgenre", "b\tHome")
    options = ["--to", str(tmp_path / "v.tsv"), "--method", "bert", "--model", str(tmp_path / "m"), "--batch", "2"]
    CliRunner().invoke(app, ["title-embeddings", str(tmp_path), *options], catch_exceptions=False)
    read = read_metadata(tmp_path, Vocabulary(["a", "b"]), ["title"], tmp_path / "v.tsv").known.titles
    for row, text in ((1, "War Mars war"), (2, "Bread. Genres: Home")):
        with torch.no_grad():
            mean = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(0).numpy()
        assert np.allclose(read[row], mean / np.linalg.norm(mean), atol=1e-5)
