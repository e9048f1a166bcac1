"""Latency of an exported student on one core.   python -m bench.serving

SASRec as the pipeline distils it, over the items and users of toys_s3rec, exported to ONNX: milliseconds of a request
(the best ten of 11,924 items, those of the history left out), one user or 256 at a time, beside the same weights in
torch. The weights are random: latency does not depend on training."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.claims import Claim, at_least, at_most, publish
from bench.public_data import folder
from kitrec.onnx.export import export
from kitrec.onnx.runtime import load_onnx_model, measure_latency
from kitrec.recommenders.data.interaction_files import read_interactions
from kitrec.recommenders.models.params import SASRec
from kitrec.recommenders.models.registry import build_sequence_model
from kitrec.recommenders.storage import StoredModel

DATA, COMMAND = "toys_s3rec", "OMP_NUM_THREADS=1 python -m bench.serving"
STUDENT = SASRec(kind="sasrec", hidden_size=64, heads=2, layers=2, max_length=50, dropout=0.5)


def main() -> None:
    """Time both sides and publish."""
    torch.set_num_threads(1)
    read = read_interactions(folder(DATA) / "interactions.tsv")
    torch.manual_seed(0)
    model = build_sequence_model(STUDENT, len(read.vocabulary)).eval()
    stored = StoredModel(model, read.vocabulary, _counts(read.sequences.items), {})
    with tempfile.TemporaryDirectory() as work:
        gap = export(stored, Path(work) / "served")
        served = measure_latency(load_onnx_model(Path(work) / "served"), read.sequences)
    ours, theirs = ({row["batch"]: row for row in rows} for rows in (served, measure_latency(stored, read.sequences)))
    rows: list[dict[str, Any]] = [
        {"side": side, **row} for side, batches in (("ONNX", ours), ("torch", theirs)) for row in batches.values()
    ]
    claims: list[Claim] = [
        at_most("largest gap of ONNX to torch, share of the largest score", gap, 1e-5, "", COMMAND),
        *(
            at_least(
                f"{batch} users at a time: torch's median time beside ours",
                theirs[batch]["p50_ms"] / ours[batch]["p50_ms"],
                1.0,
                "x",
                COMMAND,
                peer="the same weights in torch",
                repeats=100,
            )
            for batch in ours
        ),
    ]
    publish("serving", claims, {"answers, one core": rows})


def _counts(items: np.ndarray) -> np.ndarray:
    return np.bincount(items).astype(np.float32)


if __name__ == "__main__":
    main()
