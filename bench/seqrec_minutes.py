"""Time of the sequential recommenders to RecBole 1.2.1's quality.   make bench-seqrec   (KITREC_PUBLIC_DATA)

The data and models of bench/seqrec.py. The peer trains for one epoch (SASRec) or five minutes (BERT4Rec, whose epoch
takes three times as long) and is evaluated by validation NDCG@10; ours trains until it is as good, evaluated
after every epoch, whose time counts. Both have as many threads and about as many targets per step; ours is in mixed
precision."""

import time
from dataclasses import replace

import torch

from bench.claims import Claim, at_least, publish
from bench.running import start
from bench.seqrec import OURS, PEER, items, prepared, theirs
from bench.seqrec_settings import training_config
from kitrec.recommenders.data.sequences import LeaveOneOut
from kitrec.recommenders.models.interface import Recommender
from kitrec.recommenders.models.registry import build_sequence_model
from kitrec.recommenders.params import TrainingConfig
from kitrec.recommenders.sequence_training import SELECTION_METRIC, Validation, init_training, train
from kitrec.training.state import TrainingState

COMMAND = "python -m bench.seqrec_minutes"
PEER_SECONDS = {"SASRec": 0, "BERT4Rec": 300}  # 0: one epoch
TRAINING_CONFIGS: dict[str, TrainingConfig] = {
    "SASRec": training_config(
        50, 50, batch_size=44, precision="16-mixed"
    ),  # 44 users hold about 256 targets, as its 256 rows do
    "BERT4Rec": training_config(50, 50, precision="16-mixed"),  # 256 users mask about as many positions as its 256 rows
}


def main() -> None:
    """Run the peer first, then ours to the same quality."""
    python, split = prepared()
    claims: list[Claim] = []
    rows = []
    for model, seconds in PEER_SECONDS.items():
        peer = theirs(python, model, seconds)
        ours = seconds_to(model, peer["ndcg@10"], split)
        threads = {"threads": int(peer["threads"]), "ours": torch.get_num_threads()}
        rows.append(
            {"model": model, "ndcg@10": peer["ndcg@10"], "peer_seconds": peer["trained_seconds"], "seconds": ours}
        )
        rows[-1] |= threads
        text = f"{model}: time to validation NDCG@10 {peer['ndcg@10']:.4f}, where the peer is after"
        text += f" {peer['trained_seconds']:.0f} s"
        claims.append(at_least(text, peer["trained_seconds"] / ours, 4, "x", COMMAND, peer=PEER))
    publish("seqrec_minutes", claims, {"Runs": rows})


def seconds_to(model: str, value: float, split: LeaveOneOut) -> float:
    """Return the seconds we train, validating after every epoch, until NDCG@10 reaches a value."""
    torch.manual_seed(0)
    p = replace(OURS[model], training=TRAINING_CONFIGS[model])
    state = init_training(build_sequence_model(p.model, items(split)), p.training)
    began, reached = time.perf_counter(), float("nan")

    def on_epoch_end(state: TrainingState[Recommender]) -> None:
        nonlocal reached
        if state.progress.rows[-1][SELECTION_METRIC] >= value:
            reached = time.perf_counter() - began
            raise StopIteration

    try:
        validation = Validation(split.before_validation, split.validation)
        train(state, split.train, validation, p.training, p.loss, 0, on_epoch_end)
    except StopIteration:
        pass
    return reached


if __name__ == "__main__":
    start(main, __doc__)
