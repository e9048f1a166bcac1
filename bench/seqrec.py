"""How fast are the sequential recommenders beside RecBole 1.2.1?   make bench-seqrec   (KITREC_PUBLIC_DATA, see README)

beauty_s3rec, length 50, hidden 64, 2 layers, 2 heads, batch 256, cross-entropy over all items, same cores, in turns.
A training row of RecBole's holds one target, ours one for every place of a reader: targets are counted, not rows.
All in 32 bits; the time to a quality is bench/seqrec_minutes.py's.
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
from bench.command import start
from bench.public_data import folder
from bench.seqrec_settings import CE, SETTINGS, course, method, sasrec
from kitrec.recommenders.data.interaction_files import read_interactions
from kitrec.recommenders.data.sequences import LeaveOneOut, leave_one_out
from kitrec.recommenders.models.registry import build_sequence_model
from kitrec.recommenders.models.sequence_model import Recommender
from kitrec.recommenders.params import Method
from kitrec.recommenders.ranking.full import places
from kitrec.recommenders.sequence_training import init_training, train
from kitrec.training.state import TrainingState

COMMAND, PEER = "make bench-seqrec", "RecBole 1.2.1"
HOME = Path(".work/recbole")
NEEDS = ["recbole==1.2.1", "numpy<2", "pandas<2.3", "scipy<1.14", f"torch=={torch.__version__}"]
SECONDS, REPEATS = 30, 2
OURS: dict[str, Method] = {"SASRec": method(sasrec(0.5), CE, course(1, 1)), "BERT4Rec": SETTINGS["bert4rec"]}


def main() -> None:
    """Both sides, both models, in turns."""
    python, split = prepared()
    rows: list[dict[str, Any]] = []
    for repeat, model in itertools.product(range(REPEATS), OURS):
        rows.append({"model": model, "side": "kitrec", "repeat": repeat, **_ours(OURS[model], split)})
        rows.append({"model": model, "side": PEER, "repeat": repeat, **theirs(python, model, SECONDS)})
    claims = []
    for model, what in itertools.product(OURS, ("targets_per_second", "users_per_second")):
        mine, other = ([r[what] for r in rows if (r["model"], r["side"]) == (model, s)] for s in ("kitrec", PEER))
        ratios = [one / two for one, two in zip(mine, other, strict=True)]
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


def _ours(p: Method, split: LeaveOneOut) -> dict[str, float]:
    """Targets per second over one epoch or more than SECONDS, and users per second of one evaluation."""
    torch.manual_seed(0)
    training = init_training(build_sequence_model(p.model, items(split)), p.course)
    spent: list[tuple[float, float]] = []
    began = time.perf_counter()

    def watch(training: TrainingState[Recommender]) -> None:
        spent.append((training.progress.rows[-1]["targets"], time.perf_counter() - began))
        if spent[-1][1] > SECONDS:
            raise StopIteration

    with contextlib.suppress(StopIteration):
        train(training, split.train, None, course(50, 50, mode="full_data"), p.loss, 0, watch)
    began_judging = time.perf_counter()
    training.model.eval()
    places(training.model, split.before_validation, split.validation)
    judged = time.perf_counter() - began_judging
    targets = sum(own for own, _ in spent)
    return {"targets_per_second": targets / spent[-1][1], "users_per_second": len(split.validation) / judged}


def prepared() -> tuple[Path, LeaveOneOut]:
    """RecBole's Python, and the data in both forms."""
    python, source = environment(), folder("beauty_s3rec") / "interactions.tsv"
    atomic_file(source)
    return python, leave_one_out(read_interactions(source).sequences)


def theirs(python: Path, model: str, seconds: float) -> dict[str, float]:
    """What the peer's side tells of so many seconds of training; 0: of one epoch."""
    script = Path(__file__).with_name("seqrec_peer.py")
    command = [str(python), str(script.resolve()), str(HOME.resolve()), model, str(seconds)]
    done = subprocess.run(command, cwd=HOME, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"RecBole failed:\n{done.stderr[-2000:]}")
    told: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return told


def items(split: LeaveOneOut) -> int:
    """How many there are."""
    return int(max(split.before_test.items.max(), split.test.max()))


def atomic_file(source: Path) -> None:
    """The same rows in RecBole's own form."""
    columns = {"user": "user_id:token", "item": "item_id:token", "time": "timestamp:float"}
    (HOME / "data").mkdir(parents=True, exist_ok=True)
    table = pl.read_csv(source, separator="\t").select(list(columns)).rename(columns)
    table.write_csv(HOME / "data/data.inter", separator="\t")


def environment() -> Path:
    """RecBole's own environment; wheels of torch come from where ours came from."""
    python = HOME / "env/bin/python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", HOME / "env"], check=True)
        links = os.environ.get("PIP_FIND_LINKS")
        index = ["--find-links", links] if links else ["--torch-backend", "cpu"]
        subprocess.run(["uv", "pip", "install", "--quiet", "--python", python, *index, *NEEDS], check=True)
    return python.absolute()


if __name__ == "__main__":
    start(main, __doc__)
