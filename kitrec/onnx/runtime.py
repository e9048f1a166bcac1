"""An exported student whose users onnxruntime encodes, and the latency of any student.

It implements the `Scorer` of recommenders/ranking/top_k.py, which handles exclusions, years and users without a known
item, as for a model in torch. Latency is the time from histories to the best k items, exclusions included. Each repeat
uses other users; the first repeats, which fill caches, are not counted."""

import time
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnx.numpy_helper
import onnx.utils
import torch
from google.protobuf.message import DecodeError

from kitrec.core import files
from kitrec.core.errors import InputError
from kitrec.recommenders.data.packed_batches import by_length
from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.recommenders.ranking.item_search import ItemSearch
from kitrec.recommenders.ranking.top_k import Scorer, predict

GRAPH, METADATA = "model.onnx", "model.json"
BATCH_SIZE = 32  # users in a padded batch: more would need more padding
WARMUP = 3  # repeats that are not counted


class OnnxModel:
    """A loaded ONNX model with its vocabulary and popularity."""

    def __init__(
        self, graph: onnx.ModelProto, item_ids: list[str], popularity: np.ndarray, max_length: int, threads: int
    ) -> None:
        self._graph, self.vocabulary, self._threads = graph, Vocabulary(item_ids), threads
        self.popularity, self.max_length = popularity, max_length
        self._encoder = self._session(["items"], ["states"])

    @cached_property
    def search(self) -> ItemSearch:
        """The items, for the best of them."""
        names = [output.name for output in self._graph.graph.output if output.name in ("weight", "bias")]
        return ItemSearch(*(torch.from_numpy(self._constant(name)) for name in names))

    def states(self, histories: Sequences) -> torch.Tensor:
        """Return the states [users, d] of histories with at least one item."""
        return torch.from_numpy(self._by_length(self._encoder, "states", histories))

    def all_scores(self, histories: Sequences) -> np.ndarray:
        """Return scores [users, N] of histories with at least one item: a table for few users or few items."""
        return self._by_length(self._scorer, "scores", histories)

    @cached_property
    def _scorer(self) -> Any:
        return self._session(["items"], ["scores"])

    def _by_length(self, session: Any, output: str, histories: Sequences) -> np.ndarray:
        """Return an output for all users; users of similar length share a batch."""
        recent = histories.newest(self.max_length)
        order = by_length(recent)
        parts = [order[start : start + BATCH_SIZE] for start in range(0, len(order), BATCH_SIZE)]
        values = np.concatenate([session.run([output], {"items": pad(recent.take(part))})[0] for part in parts])
        ordered = np.empty_like(values)
        ordered[order] = values
        return ordered

    def _constant(self, output: str) -> np.ndarray:
        """Return an output that depends on no input: a stored array, or one cut from it."""
        stored = {array.name: array for array in self._graph.graph.initializer}
        if output in stored:
            return onnx.numpy_helper.to_array(stored[output]).copy()
        values: np.ndarray = self._session([], [output]).run([output], {})[0]
        return values

    def _session(self, inputs: list[str], outputs: list[str]) -> Any:
        """Return a session of the part of the graph that gives these outputs: a whole one computes all of them."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = self._threads, 1
        part = onnx.utils.Extractor(self._graph).extract_model(inputs, outputs)
        return onnxruntime.InferenceSession(part.SerializeToString(), options, providers=["CPUExecutionProvider"])


def load_onnx_model(folder: Path, threads: int = 1) -> OnnxModel:
    """Load the model of an exported folder."""
    from onnxruntime.capi import onnxruntime_pybind11_state as errors

    metadata = files.read_json(folder / METADATA)
    try:
        graph = onnx.load(folder / GRAPH)
        outputs = {output.name: output.type.tensor_type.shape.dim for output in graph.graph.output}
        popularity = np.array([0.0, *metadata["popularity"]], dtype=np.float32)
        columns = outputs["scores"][1].dim_value
        if not columns == len(metadata["items"]) == len(popularity) - 1:
            raise InputError(
                f"{folder}: {GRAPH} scores {columns} items, {METADATA} names {len(metadata['items'])}: export again"
            )
        if not {"states", "weight"} <= outputs.keys():
            raise InputError(f"{folder}: {GRAPH} has no outputs states and weight to search by: export again")
        return OnnxModel(graph, metadata["items"], popularity, int(metadata["max_length"]), threads)
    except (
        KeyError,
        TypeError,
        DecodeError,
        errors.InvalidProtobuf,
        errors.InvalidGraph,
        errors.Fail,
        errors.NoSuchFile,
        FileNotFoundError,
    ) as problem:
        raise InputError(f"{folder} is no complete exported model ({problem}): export it again") from None


def is_onnx_model(folder: Path) -> bool:
    """Return whether a folder holds an exported model."""
    return (folder / GRAPH).exists()


def pad(histories: Sequences) -> np.ndarray:
    """Return item numbers [users, longest], zeros on the right."""
    lengths = histories.lengths
    padded = np.zeros((len(histories), max(int(lengths.max(initial=1)), 1)), dtype=np.int64)
    padded[np.arange(padded.shape[1]) < lengths[:, None]] = histories.items
    return padded


def measure_latency(
    model: Scorer, histories: Sequences, batches: tuple[int, ...] = (1, 256), repeats: int = 100, topk: int = 10
) -> list[dict[str, float]]:
    """Return batch, p50_ms, p99_ms and users_per_second of each batch size; users are reused in turn."""
    return [_latency_row(model, histories, batch, repeats, topk) for batch in batches]


def _latency_row(model: Scorer, histories: Sequences, batch: int, repeats: int, topk: int) -> dict[str, float]:
    times = []
    for repeat in range(WARMUP + repeats):
        users = histories.take((np.arange(batch) + repeat * batch) % len(histories))
        start = time.perf_counter()
        predict(model, users, topk)
        times.append(time.perf_counter() - start)
    counted = np.array(times[WARMUP:]) * 1000
    p50, p99 = np.percentile(counted, [50, 99])
    return {
        "batch": batch,
        "p50_ms": round(float(p50), 3),
        "p99_ms": round(float(p99), 3),
        "users_per_second": round(batch / float(counted.mean()) * 1000, 1),
    }
