"""An exported student that scores by onnxruntime, without torch, and the latency of any student.

It implements the `Scorer` of recommenders/ranking/top_k.py, which handles exclusions, years and users without a known
item, as for a model in torch. Latency is the time from histories to the best k items, exclusions included. Each repeat
uses other users; the first repeats, which fill caches, are not counted."""

import time
from pathlib import Path
from typing import Any

import numpy as np

from kitrec.core import files
from kitrec.core.errors import InputError
from kitrec.recommenders.data.packed_batches import by_length
from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.recommenders.ranking.top_k import Scorer, predict

GRAPH, METADATA = "model.onnx", "model.json"
BATCH_SIZE = 32  # users in a padded batch: more would need more padding
WARMUP = 3  # repeats that are not counted


class OnnxModel:
    """A loaded ONNX model with its vocabulary and popularity."""

    def __init__(self, session: Any, item_ids: list[str], popularity: np.ndarray, max_length: int) -> None:
        self._session, self.vocabulary = session, Vocabulary(item_ids)
        self.popularity, self.max_length = popularity, max_length

    def all_scores(self, histories: Sequences) -> np.ndarray:
        """Return scores [users, N] of histories with at least one item; users of similar length share a batch."""
        recent = histories.newest(self.max_length)
        order = by_length(recent)
        scores = np.empty((len(histories), len(self.vocabulary)), dtype=np.float32)
        for start in range(0, len(order), BATCH_SIZE):
            batch = order[start : start + BATCH_SIZE]
            scores[batch] = self._session.run(["scores"], {"items": pad(recent.take(batch))})[0]
        return scores


def load_onnx_model(folder: Path, threads: int = 1) -> OnnxModel:
    """Load the model of an exported folder."""
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as errors

    metadata = files.read_json(folder / METADATA)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    try:
        session = onnxruntime.InferenceSession(folder / GRAPH, options, providers=["CPUExecutionProvider"])
        popularity = np.array([0.0, *metadata["popularity"]], dtype=np.float32)
        columns = session.get_outputs()[0].shape[1]
        if not columns == len(metadata["items"]) == len(popularity) - 1:
            raise InputError(
                f"{folder}: {GRAPH} scores {columns} items, {METADATA} names {len(metadata['items'])}: export again"
            )
        return OnnxModel(session, metadata["items"], popularity, int(metadata["max_length"]))
    except (
        KeyError,
        TypeError,
        errors.InvalidProtobuf,
        errors.InvalidGraph,
        errors.Fail,
        errors.NoSuchFile,
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
