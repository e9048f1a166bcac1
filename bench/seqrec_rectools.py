"""Speed of the sequential recommenders beside RecTools 0.19.0.   make bench-seqrec   (KITREC_PUBLIC_DATA, see README)

The data and sizes of bench/seqrec.py: beauty_s3rec, length 50, hidden 64, 2 layers, 2 heads, 256 users a batch,
cross-entropy over all items, 32 bits, same cores, in turns. Both sides learn a target at every position of a user (all
masked ones in BERT4Rec). Then the peer trains once for longer, and ours until it is as good by validation NDCG@10,
evaluated after every epoch, whose time counts; there ours is in mixed precision. RecTools runs in an environment of
its own, which the first run makes in .work/rectools."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.claims import Claim, at_least, publish
from bench.public_data import folder
from bench.running import start
from bench.seqrec import OURS, atomic_file, environment, run_peer, speed
from bench.seqrec_minutes import seconds_to
from kitrec.recommenders.data.interaction_files import read_interactions
from kitrec.recommenders.data.sequences import LeaveOneOut, leave_one_out

COMMAND, PEER = "python -m bench.seqrec_rectools", "RecTools 0.19.0"
HOME = Path(".work/rectools")
NEEDS = ["rectools==0.19.0", "pytorch-lightning==2.6.6", f"torch=={torch.__version__}"]
SECONDS, REPEATS, LONGER = 30, 2, 150
BAR = 3


def main() -> None:
    """Measure both sides and both models in turns, then the time to equal quality."""
    python = environment(HOME, NEEDS)
    source = folder("beauty_s3rec") / "interactions.tsv"
    atomic_file(source, HOME)
    split = leave_one_out(read_interactions(source).sequences)
    rows: list[dict[str, Any]] = []
    for repeat, model in itertools.product(range(REPEATS), OURS):
        rows.append({"model": model, "side": "kitrec", "repeat": repeat, **speed(OURS[model], split)})
        rows.append({"model": model, "side": PEER, "repeat": repeat, **_theirs(python, model, SECONDS)})
    claims = [
        _ratio(rows, model, what) for model, what in itertools.product(OURS, ("targets_per_second", "users_per_second"))
    ]
    to_equal_quality = []
    for model in OURS:
        row, claim = _to_equal_quality(python, model, split)
        to_equal_quality.append(row)
        claims.append(claim)
    details = {"Runs": rows, "Time to equal quality": to_equal_quality}
    publish("seqrec_rectools", claims, {name: [*map(_rounded, table)] for name, table in details.items()})


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in row.items()}


def _ratio(rows: list[dict[str, Any]], model: str, what: str) -> Claim:
    ours, peers = ([r[what] for r in rows if (r["model"], r["side"]) == (model, s)] for s in ("kitrec", PEER))
    ratios = [mine / peer for mine, peer in zip(ours, peers, strict=True)]
    spread = f"{min(ratios):.1f} to {max(ratios):.1f}"
    text = f"{model}: {what.replace('_', ' ')}"
    return at_least(text, float(np.mean(ratios)), BAR, "x", COMMAND, peer=PEER, repeats=REPEATS, spread=spread)


def _to_equal_quality(python: Path, model: str, split: LeaveOneOut) -> tuple[dict[str, Any], Claim]:
    peer = _theirs(python, model, LONGER)
    ours = seconds_to(model, peer["ndcg@10"], split)
    row = {"model": model, "peer_seconds": peer["trained_seconds"], "seconds": ours}
    text = f"{model}: time to validation NDCG@10 {peer['ndcg@10']:.4f}, where the peer is after"
    text += f" {peer['trained_seconds']:.0f} s"
    return row | {"ndcg@10": peer["ndcg@10"]}, at_least(
        text, peer["trained_seconds"] / ours, BAR, "x", COMMAND, peer=PEER
    )


def _theirs(python: Path, model: str, seconds: float) -> dict[str, float]:
    return run_peer(python, HOME, "seqrec_rectools_peer.py", model, seconds)


if __name__ == "__main__":
    start(main, __doc__)
