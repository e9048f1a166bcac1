"""A trained student as an ONNX file, for any runtime: no torch, no code of ours is needed to rank with it.

    model.onnx   items [batch, length] int64, oldest first, zeros on the right -> scores [batch, items] float32
    model.json   item ids in the order of the columns, how many items it reads, how often training saw each
Batch and length are free. A folder is only kept if onnxruntime gives what torch gives, to TOLERANCE."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from kitrec.core import files
from kitrec.core.errors import InputError
from kitrec.onnx.padded import Padded
from kitrec.onnx.runtime import GRAPH, TOLD, load_served
from kitrec.recommenders.data.sequences import Sequences, of_lists
from kitrec.recommenders.storage import StoredModel

OPSET, TOLERANCE = 20, 1e-5


def export(stored: StoredModel, to: Path) -> float:
    """Write the folder; the largest difference from torch, relative to the largest score."""
    padded = Padded(stored.model.cpu())
    asked = torch.ones(2, 2, dtype=torch.int64)
    free = {"items": {0: torch.export.Dim("batch"), 1: torch.export.Dim("length", min=1, max=padded.reads)}}
    with files.whole(to) as draft:
        draft.mkdir()
        with _quietly():
            torch.onnx.export(
                padded,
                (asked,),
                draft / GRAPH,
                input_names=["items"],
                output_names=["scores"],
                dynamic_shapes=free,
                opset_version=OPSET,
                external_data=False,
                dynamo=True,
                verbose=False,
            )
        popularity = stored.popularity[1:].astype(float).tolist()
        told = {"reads": padded.reads, "popularity": popularity, "items": stored.vocabulary.item_ids}
        files.write_json(told, draft / TOLD)
        return _proved(stored, draft)


def _proved(stored: StoredModel, folder: Path) -> float:
    """Ask both of histories of every length, alone and together."""
    served, histories = load_served(folder), _probes(len(stored.vocabulary), stored.model.length)
    expected = stored.all_scores(histories)
    alone = np.concatenate([served.all_scores(histories.take(np.array([k]))) for k in range(0, len(histories), 7)])
    apart = np.abs(served.all_scores(histories) - expected).max()
    apart = max(apart, np.abs(alone - expected[::7]).max()) / max(np.abs(expected).max(), 1)
    if not apart <= TOLERANCE:
        raise InputError(
            f"the exported model differs from torch by {apart:.1g}: do not serve it; tell us of this model"
        )
    return float(apart)


def _probes(items: int, length: int) -> Sequences:
    """One history of every length, and a longer one."""
    rng = np.random.default_rng(0)
    return of_lists(rng.integers(1, items + 1, size=size) for size in range(1, length + 3))


@contextmanager
def _quietly() -> Iterator[None]:
    """The exporter warns of its own insides, and of torchvision, which nothing here uses."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
