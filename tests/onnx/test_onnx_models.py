"""Exported students against torch: equal scores for every batch size and length, equal lists for every user."""

import gc

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from typer.testing import CliRunner

from kitrec.cli.main import app
from kitrec.core import files
from kitrec.core.errors import InputError
from kitrec.onnx.export import OPSET, export
from kitrec.onnx.padded import PaddedModel
from kitrec.onnx.runtime import load_onnx_model, measure_latency, pad
from kitrec.recommenders.data.item_features import ItemFeatures
from kitrec.recommenders.data.packed_batches import pack
from kitrec.recommenders.data.sequences import sequences_from_lists
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.recommenders.models.params import Metadata
from kitrec.recommenders.models.registry import build_sequence_model
from kitrec.recommenders.ranking.top_k import predict
from kitrec.recommenders.storage import StoredModel
from tests.recommenders.made_models import ITEMS, KINDS, made_model, made_sequences, model_params

VOCABULARY = Vocabulary(f"i{number:02d}" for number in range(1, ITEMS + 1))
POPULARITY = np.arange(ITEMS + 1, dtype=np.float32)


def stored(kind: str) -> StoredModel:
    return StoredModel(made_model(kind), VOCABULARY, POPULARITY, {})


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("served")
    return {kind: (root / kind, export(stored(kind), root / kind)) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_padded_and_packed_models_give_equal_scores(kind):
    model, sequences = made_model(kind), made_sequences(40, seed=4, longest=20)
    padded = PaddedModel(model)
    newest = sequences.newest(padded.max_length)
    table = torch.zeros(40, padded.max_length, dtype=torch.int64)
    for user in range(40):
        table[user, : newest.lengths[user]] = torch.from_numpy(newest[user])
    weight, bias = model.output()
    with torch.inference_mode():
        expected = model.represent(pack(model.shown(sequences))) @ weight.T + (0 if bias is None else bias)
        assert torch.allclose(padded(table), expected, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_onnx_and_torch_give_equal_scores(kind, folders):
    folder, difference = folders[kind]
    assert difference <= 1e-5
    exported, original = load_onnx_model(folder), stored(kind)
    for batch, longest in [(1, 1), (1, 20), (2, 3), (7, 12), (64, 20), (300, 5)]:
        histories = made_sequences(batch, seed=batch + longest, longest=longest)
        expected = original.all_scores(histories)
        assert np.allclose(exported.all_scores(histories), expected, atol=1e-5 * max(1, np.abs(expected).max()))


@pytest.mark.parametrize("kind", KINDS)
def test_one_large_padded_batch_gives_the_scores_of_small_batches(kind, folders):
    histories = made_sequences(300, seed=4, longest=9)
    session = onnxruntime.InferenceSession(folders[kind][0] / "model.onnx", providers=["CPUExecutionProvider"])
    (scores,) = session.run(["scores"], {"items": pad(histories)})
    expected = stored(kind).all_scores(histories)
    assert np.allclose(scores, expected, atol=1e-5 * max(1, np.abs(expected).max()))


def test_finalizers_that_read_tensors_are_no_part_of_the_model(tmp_path):
    """As vLLM's weights on a CPU end: in cycles, with a finalizer that reads a tensor."""

    handle, ended = torch.tensor(3), []

    class Weights:
        def __init__(self):
            self.itself = self

        def __del__(self):
            handle.item()
            if not ended:
                Weights()  # the next one, for the next collection

    thresholds = gc.get_threshold()
    try:
        gc.set_threshold(100, 1, 1)
        Weights()
        assert export(stored("gru4rec"), tmp_path / "served") <= 1e-5 and gc.isenabled()
    finally:
        ended.append(True)
        gc.set_threshold(*thresholds)


def test_the_file_is_standard_onnx(folders):
    graph = onnx.load(folders["gru4rec"][0] / "model.onnx")
    onnx.checker.check_model(graph, full_check=True)
    assert [opset.version for opset in graph.opset_import if opset.domain == ""] == [OPSET]
    assert [dim.dim_param != "" for dim in graph.graph.input[0].type.tensor_type.shape.dim] == [True, True]
    assert sorted(path.name for path in folders["gru4rec"][0].iterdir()) == ["model.json", "model.onnx"]


@pytest.mark.parametrize("kind", KINDS)
def test_top_items_equal_those_of_torch_without_excluded_ones(kind, folders):
    histories = sequences_from_lists([*(made_sequences(30, seed=9)[k] for k in range(30)), []])
    excluded = np.array([3, 14, 25])
    mine, theirs = (
        predict(load_onnx_model(folders[kind][0]), histories, 5, excluded),
        predict(stored(kind), histories, 5, excluded),
    )
    assert mine.items == theirs.items
    for user in range(31):
        excluded_ids = set(VOCABULARY.ids(histories[user])) | {"i03", "i14", "i25"}
        assert not excluded_ids & set(mine.items[user])
    # a user without a known item gets popular items
    assert mine.items[30] == ["i30", "i29", "i28", "i27", "i26"]


def test_kitrec_predict_ranks_by_the_exported_file(folders, tmp_path):
    rows = [f"u{user},i{item:02d},{time}" for user, item, time in [(1, 3, 1), (1, 9, 2), (2, 4, 1), (3, 77, 1)]]
    (tmp_path / "own.csv").write_text("\n".join(["user,item,time", *rows]) + "\n")
    command = ["predict", str(folders["sasrec"][0]), str(tmp_path / "own.csv"), "--to", str(tmp_path / "out.tsv")]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert "3 users; 1 interactions with unknown items, 1 users ranked by popularity" in done.output
    written = [line.split("\t") for line in (tmp_path / "out.tsv").read_text().splitlines()[1:]]
    expected = predict(stored("sasrec"), sequences_from_lists([[3, 9], [4], []]), 10).items
    assert [[row[2] for row in written if row[0] == f"u{user}"] for user in (1, 2, 3)] == expected


def test_latency_is_measured_for_each_batch_size(folders):
    rows = measure_latency(load_onnx_model(folders["sasrec"][0]), made_sequences(50), (1, 16), repeats=5)
    assert [row["batch"] for row in rows] == [1, 16]
    assert all(0 < row["p50_ms"] <= row["p99_ms"] for row in rows)


def test_a_model_with_metadata_features_is_refused(tmp_path):
    titles = np.ones((ITEMS + 2, 4), dtype=np.float32)
    p = model_params("bert4rec", metadata=Metadata(features=["title"], fusion="gate", dropout=0.0))
    model = build_sequence_model(p, ITEMS, ItemFeatures(titles=titles))
    with pytest.raises(InputError, match=r"metadata\.features"):
        export(StoredModel(model, VOCABULARY, POPULARITY, {}), tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_a_damaged_folder_is_refused(folders, tmp_path):
    for name, changed in {"items": VOCABULARY.item_ids[1:], "popularity": [1.0]}.items():
        (tmp_path / "model.onnx").write_bytes((folders["caser"][0] / "model.onnx").read_bytes())
        files.write_json(files.read_json(folders["caser"][0] / "model.json") | {name: changed}, tmp_path / "model.json")
        with pytest.raises(InputError, match="export again"):
            load_onnx_model(tmp_path)
    graph = onnx.load(folders["caser"][0] / "model.onnx")
    del graph.graph.output[1:]
    onnx.save(graph, tmp_path / "model.onnx")  # as exported before the states were outputs
    files.write_json(files.read_json(folders["caser"][0] / "model.json"), tmp_path / "model.json")
    with pytest.raises(InputError, match="no outputs states and weight to search by: export again"):
        load_onnx_model(tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(InputError, match="no complete exported model"):
        load_onnx_model(tmp_path)
