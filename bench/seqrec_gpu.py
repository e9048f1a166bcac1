"""Time of an epoch of the sequential recommenders on this GPU, at the size of MovieLens-1M.   make bench-seqrec-gpu

Sequences are fabricated: 6,040 users, lengths as in MovieLens-1M (log-normal, median 96, mean 165, at least 20), 3,706
items by a power law. Hidden 64, 2 layers, 2 heads, length 200, cross-entropy over all items, mixed precision."""

import itertools
import sys
import time
from dataclasses import replace

import numpy as np
import torch

from bench.claims import at_most, publish
from bench.running import start
from bench.seqrec_settings import CE, SETTINGS, method, sasrec, training_config
from kitrec.core.randomness import generator
from kitrec.recommenders.data.sequences import Sequences, sequences_from_lists
from kitrec.recommenders.models.interface import Recommender
from kitrec.recommenders.models.registry import build_sequence_model
from kitrec.recommenders.params import SequenceMethod
from kitrec.recommenders.sequence_training import init_training, train
from kitrec.training.distributed import distributed_context
from kitrec.training.state import TrainingState

COMMAND, PEER = "make bench-seqrec-gpu", "RecBole on a TITAN RTX"
USERS, ITEMS, EPOCHS = 6040, 3706, 5
TRAINING = training_config(EPOCHS, EPOCHS, mode="full_data", precision="16-mixed")
BARS = {"SASRec": 1.78, "BERT4Rec": 3.61}  # a tenth of the peer's 17.8 and 36.1 seconds


def main() -> None:
    """Publish the median epoch after the first, which also warms up."""
    if not torch.cuda.is_available():
        sys.exit("error: there is no GPU here; `make bench-seqrec` measures on a CPU")
    models = {"SASRec": sasrec(0.5), "BERT4Rec": SETTINGS["bert4rec"].model}
    sequences, claims, rows = made_sequences(), [], []
    for name, model in models.items():
        spent = _epochs(method(replace(model, max_length=200), CE, TRAINING), sequences)
        text = f"{name}: seconds an epoch, {torch.cuda.get_device_name()}"
        spread = f"{min(spent):.2f} to {max(spent):.2f}"
        claims.append(
            at_most(
                text, float(np.median(spent)), BARS[name], "s", COMMAND, peer=PEER, repeats=len(spent), spread=spread
            )
        )
        rows.append({"model": name, "interactions": len(sequences.items), "peak_mib": _peak()})
    publish("seqrec_gpu", claims, {"Runs": rows})


def made_sequences() -> Sequences:
    """Return random sequences of MovieLens-1M's shape."""
    rng = generator(0, "sequences of the bench")
    lengths = np.maximum(20, rng.lognormal(np.log(96), 1.04, USERS)).astype(int)
    share = 1 / np.arange(10, ITEMS + 10) ** 0.8
    return sequences_from_lists(rng.choice(ITEMS, size=length, p=share / share.sum()) + 1 for length in lengths)


def _epochs(p: SequenceMethod, sequences: Sequences) -> list[float]:
    torch.cuda.reset_peak_memory_stats()
    ended = [time.perf_counter()]

    def on_epoch_end(_: TrainingState[Recommender]) -> None:
        torch.cuda.synchronize()
        ended.append(time.perf_counter())

    state = init_training(build_sequence_model(p.model, ITEMS), p.training, distributed_context())
    train(state, sequences, None, p.training, p.loss, 0, on_epoch_end)
    return [after - before for before, after in itertools.pairwise(ended)][1:]


def _peak() -> int:
    return int(torch.cuda.max_memory_allocated() / 2**20)


if __name__ == "__main__":
    start(main, __doc__)
