"""Speed of the sequential recommenders beside RecBole 1.2.1.   make bench-seqrec   (KITREC_PUBLIC_DATA, see README)

beauty_s3rec, length 50, hidden 64, 2 layers, 2 heads, batch 256, cross-entropy over all items, same cores, in turns.
A training row of RecBole's holds one target, ours one for every position of a user: targets are counted, not rows.
All in 32 bits; bench/seqrec_minutes.py measures the time to a given quality.
RecBole runs in an environment of its own (numpy < 2), which the first run makes in .work/recbole."""

import contextlib
import itertools
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from bench.claims import at_least, publish
from bench.public_data import folder
from bench.running import start
from bench.seqrec_settings import CE, SETTINGS, method, sasrec, training_config
from kitrec.recommenders.data.interaction_files import read_interactions
from kitrec.recommenders.data.sequences import LeaveOneOut, leave_one_out
from kitrec.recommenders.models.interface import Recommender
from kitrec.recommenders.models.registry import build_sequence_model
from kitrec.recommenders.params import SequenceMethod
from kitrec.recommenders.ranking.full import ranks
from kitrec.recommenders.sequence_training import init_training, train
from kitrec.training.state import TrainingState

COMMAND, PEER = "make bench-seqrec", "RecBole 1.2.1"
HOME = Path(".work/recbole")
NEEDS = ["recbole==1.2.1", "numpy<2", "pandas<2.3", "scipy<1.14", f"torch=={torch.__version__}"]
SECONDS, REPEATS = 30, 2
OURS: dict[str, SequenceMethod] = {
    "SASRec": method(sasrec(0.5), CE, training_config(1, 1)),
    "BERT4Rec": SETTINGS["bert4rec"],
}


def main() -> None:
    """Measure both sides and both models in turns."""
    python, split = prepared()
    rows: list[dict[str, Any]] = []
    for repeat, model in itertools.product(range(REPEATS), OURS):
        rows.append({"model": model, "side": "kitrec", "repeat": repeat, **speed(OURS[model], split)})
        rows.append({"model": model, "side": PEER, "repeat": repeat, **theirs(python, model, SECONDS)})
    claims = []
    for model, what in itertools.product(OURS, ("targets_per_second", "users_per_second")):
        ours, peers = ([r[what] for r in rows if (r["model"], r["side"]) == (model, s)] for s in ("kitrec", PEER))
        ratios = [ours_ / peer for ours_, peer in zip(ours, peers, strict=True)]
        limit = 4 if what == "targets_per_second" else 5
        spread = f"{min(ratios):.1f} to {max(ratios):.1f}"
        text = f"{model}: {what.replace('_', ' ')}"
        claims.append(
            at_least(text, float(np.mean(ratios)), limit, "x", COMMAND, peer=PEER, repeats=REPEATS, spread=spread)
        )
    publish(
        "seqrec",
        claims,
        {"Runs": [{k: round(v, 1) if isinstance(v, float) else v for k, v in r.items()} for r in rows]},
    )


def speed(p: SequenceMethod, split: LeaveOneOut) -> dict[str, float]:
    """Return targets per second of training for about SECONDS, and users per second of one evaluation."""
    torch.manual_seed(0)
    state = init_training(build_sequence_model(p.model, items(split)), p.training)
    spent: list[tuple[float, float]] = []
    began = time.perf_counter()

    def on_epoch_end(state: TrainingState[Recommender]) -> None:
        spent.append((state.progress.rows[-1]["targets"], time.perf_counter() - began))
        if spent[-1][1] > SECONDS:
            raise StopIteration

    with contextlib.suppress(StopIteration):
        train(state, split.train, None, training_config(50, 50, mode="full_data"), p.loss, 0, on_epoch_end)
    began_ranking = time.perf_counter()
    state.model.eval()
    ranks(state.model, split.before_validation, split.validation)
    ranking = time.perf_counter() - began_ranking
    targets = sum(count for count, _ in spent)
    return {"targets_per_second": targets / spent[-1][1], "users_per_second": len(split.validation) / ranking}


def prepared() -> tuple[Path, LeaveOneOut]:
    """Return RecBole's Python and the split; write the data in RecBole's form."""
    python, source = environment(HOME, NEEDS), folder("beauty_s3rec") / "interactions.tsv"
    atomic_file(source, HOME)
    return python, leave_one_out(read_interactions(source).sequences)


def theirs(python: Path, model: str, seconds: float) -> dict[str, float]:
    """Run RecBole for that many seconds of training (0: one epoch) and return its figures."""
    return run_peer(python, HOME, "seqrec_peer.py", model, seconds)


def run_peer(python: Path, home: Path, script: str, model: str, seconds: float) -> dict[str, float]:
    """Run a peer's script in its environment and return the figures that it prints."""
    path = Path(__file__).with_name(script).resolve()
    command = [str(python), str(path), str(home.resolve()), model, str(seconds)]
    done = subprocess.run(command, cwd=home, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{script} failed:\n{done.stderr[-2000:]}")
    figures: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return figures


def items(split: LeaveOneOut) -> int:
    """Return the number of items."""
    return int(max(split.before_test.items.max(), split.test.max()))


def atomic_file(source: Path, home: Path) -> None:
    """Write the same rows in RecBole's form."""
    columns = {"user": "user_id:token", "item": "item_id:token", "time": "timestamp:float"}
    (home / "data").mkdir(parents=True, exist_ok=True)
    table = pl.read_csv(source, separator="\t").select(list(columns)).rename(columns)
    table.write_csv(home / "data/data.inter", separator="\t")


def environment(home: Path, needs: list[str]) -> Path:
    """Return a peer's Python; make its environment if needed, with torch from the same source as ours."""
    python = home / "env/bin/python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", home / "env"], check=True)
        links = os.environ.get("PIP_FIND_LINKS")
        index = ["--find-links", links] if links else ["--torch-backend", "cpu"]
        subprocess.run(["uv", "pip", "install", "--quiet", "--python", python, *index, *needs], check=True)
    return python.absolute()


if __name__ == "__main__":
    start(main, __doc__)
