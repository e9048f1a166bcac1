"""Title vectors by a real sentence-transformer."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from kitrec.cli.main import app
from kitrec.recommenders.data.item_features import ItemFeatures
from kitrec.recommenders.data.metadata_files import read_metadata
from kitrec.recommenders.data.title_embeddings import bert_embeddings, sentence_embeddings
from kitrec.recommenders.data.vocabulary import Vocabulary
from tests.conftest import ROOT

FOLDER = ROOT / "base/minilm-l6-v2"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="base/minilm-l6-v2 is absent: `make encoder-minilm`")
LINES = ["A war on Mars", "Battle for the red planet", "Baking bread at home. Genres: Cooking"]


@pytest.fixture
def model() -> str:
    return str(FOLDER)


def test_sentence_and_bert_embeddings_of_a_mean_pooling_model_agree(model):
    """all-MiniLM-L6-v2 pools by the mean over tokens: the two methods are then the same."""
    sentences, mean = sentence_embeddings(LINES, model, batch_size=2), bert_embeddings(LINES, model, batch_size=2)
    assert sentences.shape == (3, 384) and np.allclose(sentences, mean, atol=1e-5)
    similarity = sentences @ sentences.T
    assert similarity[0, 1] > similarity[0, 2] + 0.2


def test_the_command_embeds_titles_from_files(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("titles.tsv").write_text("item\ttitle\na\tA war on Mars\nb\tBaking bread\n")
    Path("genres.tsv").write_text("item\tgenre\nb\tCooking\nb\tHome\n")
    done = CliRunner().invoke(
        app, ["title-embeddings", ".", "--to", "vectors.tsv", "--method", "sentence", "--model", model]
    )
    assert done.exit_code == 0, done.output
    read = read_metadata(Path(), Vocabulary(["a", "b"]), ["title"], Path("vectors.tsv"))
    assert isinstance(read.features, ItemFeatures) and read.features.titles is not None
    expected = sentence_embeddings(["A war on Mars", "Baking bread. Genres: Cooking, Home"], model, 1)
    assert np.allclose(read.features.titles[1:3], expected, atol=1e-5)
