"""Export of a trained student to ONNX, for any runtime: neither torch nor kitrec is needed to rank with it.

    model.onnx   items [batch, length] int64, oldest first, zeros on the right -> scores [batch, items] float32;
                 also states [batch, d], and item vectors: weight [items, d], bias [items] where the model has one
    model.json   item ids in the order of the columns, maximum length, popularity of each item in training
Batch and length are dynamic. The folder is kept only if onnxruntime and torch agree to TOLERANCE."""

import gc
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from kitrec.core import files
from kitrec.core.errors import InputError
from kitrec.onnx.padded import ServedModel
from kitrec.onnx.runtime import GRAPH, METADATA, load_onnx_model
from kitrec.recommenders.data.sequences import Sequences, sequences_from_lists
from kitrec.recommenders.storage import StoredModel

OPSET, TOLERANCE = 20, 1e-5


def export(stored: StoredModel, to: Path) -> float:
    """Write the folder; return the largest difference from torch, relative to the largest score."""
    served = ServedModel(stored.model.cpu())
    padded = served.padded
    example = torch.ones(2, 2, dtype=torch.int64)
    dynamic_shapes = {
        "items": {0: torch.export.Dim("batch"), 1: torch.export.Dim("length", min=1, max=padded.max_length)}
    }
    with files.atomic(to) as draft:
        draft.mkdir()
        with _silenced(), _no_finalizers():
            torch.onnx.export(
                served,
                (example,),
                draft / GRAPH,
                input_names=["items"],
                output_names=served.outputs,
                dynamic_shapes=dynamic_shapes,
                opset_version=OPSET,
                external_data=False,
                dynamo=True,
                verbose=False,
            )
        popularity = stored.popularity[1:].astype(float).tolist()
        metadata = {"max_length": padded.max_length, "popularity": popularity, "items": stored.vocabulary.item_ids}
        files.write_json(metadata, draft / METADATA)
        return _checked_difference(stored, draft)


def _checked_difference(stored: StoredModel, folder: Path) -> float:
    """Compare both on histories of every length, one by one and batched; raise if they differ."""
    exported, histories = load_onnx_model(folder), _probes(len(stored.vocabulary), stored.model.max_length)
    expected = stored.all_scores(histories)
    single = np.concatenate([exported.all_scores(histories.take(np.array([k]))) for k in range(0, len(histories), 7)])
    difference = np.abs(exported.all_scores(histories) - expected).max()
    difference = max(difference, np.abs(single - expected[::7]).max()) / max(np.abs(expected).max(), 1)
    if not difference <= TOLERANCE:
        raise InputError(
            f"the exported model differs from torch by {difference:.1g}: do not serve it, and report this model"
        )
    return float(difference)


def _probes(items: int, length: int) -> Sequences:
    """Return one history of every length, and a longer one."""
    rng = np.random.default_rng(0)
    return sequences_from_lists(rng.integers(1, items + 1, size=size) for size in range(1, length + 3))


@contextmanager
def _no_finalizers() -> Iterator[None]:
    """Put off the collection of cyclic garbage: a finalizer that reads a tensor, as those of vLLM's weights do, would
    be traced as an operation of the model."""
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextmanager
def _silenced() -> Iterator[None]:
    """Silence warnings of the exporter about its internals and about torchvision, which is not used here."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
