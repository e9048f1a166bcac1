"""How fast does an exported student answer, on one core?   python -m bench.serving

SASRec as the pipeline distils it, over the items and readers of toys_s3rec, exported to ONNX: milliseconds of an answer
(the best ten of 11,924 items, what the reader has seen left out), one reader or 256 at a time, beside the same weights
in torch. The weights are random: how long an answer takes does not depend on what was learned."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.claims import Claim, at_least, at_most, publish
from bench.public_data import folder
from kitrec.onnx.export import export
from kitrec.onnx.latency import latency
from kitrec.onnx.runtime import load_served
from kitrec.recommenders.data.interaction_files import read_interactions
from kitrec.recommenders.models.registry import build_sequence_model
from kitrec.recommenders.params import SASRec
from kitrec.recommenders.storage import StoredModel

DATA, COMMAND = "toys_s3rec", "OMP_NUM_THREADS=1 python -m bench.serving"
STUDENT = SASRec(kind="sasrec", hidden=64, heads=2, layers=2, length=50, dropout=0.5)


def main() -> None:
    """Time both, write the claims."""
    torch.set_num_threads(1)
    read = read_interactions(folder(DATA) / "interactions.tsv")
    torch.manual_seed(0)
    stored = StoredModel(
        build_sequence_model(STUDENT, len(read.vocabulary)).eval(), read.vocabulary, _counts(read.sequences.items), {}
    )
    with tempfile.TemporaryDirectory() as work:
        gap = export(stored, Path(work) / "served")
        served = latency(load_served(Path(work) / "served"), read.sequences)
    ours, theirs = ({row["batch"]: row for row in own} for own in (served, latency(stored, read.sequences)))
    rows: list[dict[str, Any]] = [
        {"side": side, **row} for side, own in (("ONNX", ours), ("torch", theirs)) for row in own.values()
    ]
    claims: list[Claim] = [
        at_most("largest gap of ONNX to torch, share of the largest score", gap, 1e-5, "", COMMAND),
        *(
            at_least(
                f"{batch} readers at a time: torch's median time beside ours",
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
