"""An exported student that ranks by onnxruntime; torch stays asleep.

It has what `idrec.predicting.predict` asks of a model: exclusions, years and readers without a known item are handled
there, as for a model in torch."""

from pathlib import Path
from typing import Any

import numpy as np

from kitrec.core import files
from kitrec.core.errors import InputError
from kitrec.recommenders.data.packed_batches import by_length
from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.data.vocabulary import Vocabulary

GRAPH, TOLD = "model.onnx", "model.json"
TOGETHER = 32  # readers in one row-padded batch: more would be padded further


class Served:
    def __init__(self, session: Any, item_ids: list[str], popularity: np.ndarray, reads: int) -> None:
        self._session, self.vocabulary, self.popularity, self.reads = session, Vocabulary(item_ids), popularity, reads

    def all_scores(self, histories: Sequences) -> np.ndarray:
        """[readers, N] of histories of at least one item each; those of like length are asked together."""
        own = histories.newest(self.reads)
        order = by_length(own)
        found = np.empty((len(histories), len(self.vocabulary)), dtype=np.float32)
        for start in range(0, len(order), TOGETHER):
            part = order[start : start + TOGETHER]
            found[part] = self._session.run(["scores"], {"items": table(own.take(part))})[0]
        return found


def load_served(folder: Path, threads: int = 1) -> Served:
    """The model of an exported folder."""
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as refused

    told = files.read_json(folder / TOLD)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    try:
        session = onnxruntime.InferenceSession(folder / GRAPH, options, providers=["CPUExecutionProvider"])
        popularity = np.array([0.0, *told["popularity"]], dtype=np.float32)
        columns = session.get_outputs()[0].shape[1]
        if not columns == len(told["items"]) == len(popularity) - 1:
            raise InputError(
                f"{folder}: {GRAPH} scores {columns} items, {TOLD} names {len(told['items'])}: export again"
            )
        return Served(session, told["items"], popularity, int(told["reads"]))
    except (
        KeyError,
        TypeError,
        refused.InvalidProtobuf,
        refused.InvalidGraph,
        refused.Fail,
        refused.NoSuchFile,
    ) as problem:
        raise InputError(f"{folder} holds no whole exported model ({problem}): export it again") from None


def is_served(folder: Path) -> bool:
    """Whether a folder holds an exported model."""
    return (folder / GRAPH).exists()


def table(histories: Sequences) -> np.ndarray:
    """[readers, longest] item numbers, zeros on the right."""
    lengths = histories.lengths
    found = np.zeros((len(histories), max(int(lengths.max(initial=1)), 1)), dtype=np.int64)
    found[np.arange(found.shape[1]) < lengths[:, None]] = histories.items
    return found
