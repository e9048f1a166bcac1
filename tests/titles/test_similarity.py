"""Titles compared as they are. Reference: words that titles share, cosines by hand, scikit-learn's vectors."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from kitrec.core.domains import KITREC
from kitrec.core.errors import InputError
from kitrec.titles.calibration import METRIC
from kitrec.titles.params import Similarity
from kitrec.titles.questions import Questions
from kitrec.titles.similarity import SCALE, SimilarityModel, encode_titles
from kitrec.titles.storage import load_method
from kitrec.titles.train import train_method
from tests.conftest import ROOT
from tests.titles.made_titles import hits, ignore, made_inputs, made_items

TFIDF = Similarity(kind="similarity", encoder=None, items=4)
ENCODER = ROOT / "base/minilm-l6-v2"
needs_encoder = pytest.mark.skipif(not ENCODER.is_dir(), reason="no base/minilm-l6-v2: make encoder-minilm")


def test_scores_are_cosines_with_the_mean_of_the_items_shown():
    vectors = np.array([[0, 0], [1, 0], [0, 1], [0.6, 0.8]])
    questions = Questions(np.array([[0, 1], [1, 2], [0, 0]]), [np.array([1, 2, 3])] * 3, np.array([0, 0, 0]))
    one, two, none = SimilarityModel(vectors).scores(questions)
    assert one == pytest.approx([SCALE, 0, 0.6 * SCALE])
    half = np.sqrt(0.5)
    assert two == pytest.approx(SCALE * np.array([half, half, 1.4 * half]))
    assert none.tolist() == [0, 0, 0]


def test_tfidf_keeps_the_cosines_of_the_words():
    titles = ["Red River", "Red Harbour", "Blue Harbour", "Blue River", "Blue Blue Doctor", "Red Doctor"]
    words = TfidfVectorizer(ngram_range=(1, 2), min_df=2).fit_transform(titles).toarray()
    vectors = encode_titles(TFIDF, titles, seed=1).vectors
    assert vectors.shape[0] == len(titles) + 1 and not vectors[0].any()
    assert vectors[1:] @ vectors[1:].T == pytest.approx(words @ words.T, abs=0.1)


def same_words(items: pl.DataFrame) -> pl.DataFrame:
    """Name the films of a kind by the word of its books, all items by a second word as well."""
    first = pl.col("item_id").str.slice(1, 1).replace_strict({"0": "Violet", "1": "Copper", "2": "Panda", "3": "Acorn"})
    second = pl.col("item_id").str.slice(2).replace_strict({"0": "North", "1": "South", "2": "East", "3": "West"})
    return items.with_columns(title=first + " " + second)


def test_users_find_what_shares_the_words_of_their_history_and_nothing_else(tiny_base, tmp_path):
    inputs = made_inputs(tiny_base, tmp_path / "work")
    shared = replace(inputs, items=same_words(made_items()))
    for name, each in (("shared", shared), ("foreign", inputs)):
        trained = train_method(TFIDF, each, ignore, tmp_path / name)
        assert len(trained.rows) == 1 and trained.rows[0][METRIC] == pytest.approx(trained.metrics[METRIC], abs=1e-6)
    assert hits(load_method(tmp_path / "shared", inputs.base, shared.items, KITREC), 40) == 1.0
    assert hits(load_method(tmp_path / "foreign", inputs.base, inputs.items, KITREC), 40) < 0.5


def test_vectors_belong_to_their_items_and_an_encoder_must_be_there(tiny_base, tmp_path):
    inputs = made_inputs(tiny_base, tmp_path / "work")
    train_method(TFIDF, inputs, ignore, tmp_path / "model")
    with pytest.raises(InputError, match="its vectors are of other items"):
        load_method(tmp_path / "model", inputs.base, inputs.items[1:], KITREC)
    missing = replace(TFIDF, encoder=str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match=r"there is no encoder in .*nowhere: `make encoder-minilm`"):
        train_method(missing, inputs, ignore, tmp_path / "other")
    assert not (tmp_path / "other").exists()


@needs_encoder
def test_a_sentence_encoder_knows_which_titles_are_of_one_kind():
    titles = [
        "The Great Chocolate Cookbook",
        "Easy Vegan Recipes",
        "A History of the Roman Legions",
        "Cleopatra: A Life",
    ]
    vectors = encode_titles(replace(TFIDF, encoder=str(ENCODER)), titles, seed=1).vectors[1:]
    cosines = vectors @ vectors.T
    assert min(cosines[0, 1], cosines[2, 3]) > max(cosines[0, 2], cosines[0, 3], cosines[1, 2], cosines[1, 3])
