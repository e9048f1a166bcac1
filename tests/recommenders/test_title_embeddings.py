"""Title embeddings: texts with genres, TF-IDF, BERT, and their file."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from typer.testing import CliRunner

from kitrec.cli.main import app
from kitrec.core.errors import InputError
from kitrec.recommenders.data import title_embeddings
from kitrec.recommenders.data.metadata_files import read_metadata
from kitrec.recommenders.data.vocabulary import Vocabulary

VOCABULARY = Vocabulary(["a", "b", "c"])


def write(folder: Path, name: str, *rows: str) -> Path:
    path = folder / name
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def test_item_texts_contain_the_genres():
    names = pl.DataFrame({"item": ["a", "b"], "value": ["Alien", "Brazil"]})
    genres = pl.DataFrame({"item": ["a", "a"], "value": ["Horror", "Science"]})
    assert title_embeddings.item_texts(names, genres)["text"].to_list() == ["Alien. Genres: Horror, Science", "Brazil"]


def test_tfidf_puts_titles_of_shared_words_together():
    lines = ["red planet mission", "red planet landing", "summer kitchen stories", "summer kitchen recipes"]
    vectors = title_embeddings.tfidf_embeddings(lines, seed=1)
    similarity = vectors @ vectors.T
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert similarity[0, 1] > 0.99 and abs(similarity[0, 2]) < 0.01
    with pytest.raises(InputError, match="no term occurs in 2 or more"):
        title_embeddings.tfidf_embeddings(["one", "two"], seed=1)


def test_an_embeddings_file_reads_back_and_the_previous_file_is_kept(tmp_path):
    to = write(tmp_path, "titles.tsv", "old")
    vectors = np.random.default_rng(0).normal(size=(2, 3)).astype(np.float32)
    title_embeddings.write_embeddings(["a", "c"], vectors, to)
    assert (tmp_path / "titles.tsv.backup").read_text() == "old\n"
    read = read_metadata(tmp_path, VOCABULARY, ["title"]).features.titles
    assert np.allclose(read[[1, 3]], vectors, rtol=1e-5)


def test_an_item_with_two_titles_is_refused(tmp_path):
    write(tmp_path, "titles.tsv", "item\ttitle", "a\tOne", "a\tTwo", "b\tThree")
    with pytest.raises(InputError, match=r"1 items have several titles, e\.g\. a"):
        CliRunner().invoke(
            app, ["title-embeddings", str(tmp_path), "--to", str(tmp_path / "v.tsv")], catch_exceptions=False
        )


def test_title_embeddings_accepts_any_bert(tmp_path):
    """An embedding is the mean over the tokens of its text, computed one text at a time without padding."""
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
    read = read_metadata(tmp_path, Vocabulary(["a", "b"]), ["title"], tmp_path / "v.tsv").features.titles
    for row, text in ((1, "War Mars war"), (2, "Bread. Genres: Home")):
        with torch.no_grad():
            mean = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(0).numpy()
        assert np.allclose(read[row], mean / np.linalg.norm(mean), atol=1e-5)
