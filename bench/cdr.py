"""Time of an epoch of CoNet beside a straightforward trainer.   python -m bench.cdr   (KITREC_PUBLIC_DATA)

amazon_sport_cloth, the paper's form, width 32, 4 negatives, batches of 256 pairs, same towers, same cores, in turns
after a warm-up turn. The straightforward trainer draws each batch's negatives by a Python loop over a set of the user's
items and takes dense AdamW steps over all embeddings, as public implementations of these models do."""

import random
import time
from typing import Any

import numpy as np
import torch

from bench.cdr_data import Pair, sport_cloth
from bench.cdr_settings import conet, training_config
from bench.claims import at_least, publish
from bench.running import start
from kitrec.recommenders.cross_domain_training import CrossDomainStep, init_training
from kitrec.recommenders.data.cross_domain_batches import UserHistories, cross_domain_batch
from kitrec.recommenders.data.item_domains import NegativeSampler
from kitrec.recommenders.data.pair_batches import sample_epoch
from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.models.interface import PairBatch
from kitrec.recommenders.models.registry import build_cross_domain_model

COMMAND, REPEATS, BATCH, NEGATIVES = "python -m bench.cdr", 3, 256, 4
STEPS = 60  # of the straightforward trainer; its epoch time is extrapolated from them


def main() -> None:
    """Measure both sides in turns, one epoch of ours and STEPS steps of the other each."""
    pair = sport_cloth()
    rows: list[dict[str, Any]] = []
    ours(pair)  # warm-up: torch loads libraries at its first step
    for repeat in range(REPEATS):
        seconds, plain = ours(pair), straightforward(pair, STEPS)
        rows.append({"repeat": repeat, "seconds": round(seconds, 2), "straightforward": round(plain, 2)})
    ratios = [row["straightforward"] / row["seconds"] for row in rows]
    spread = f"{min(ratios):.1f} to {max(ratios):.1f}"
    text = "CoNet: an epoch of amazon_sport_cloth"
    peer = "per-batch Python sampler, dense AdamW"
    mean = float(np.mean(ratios))
    publish("cdr", [at_least(text, mean, 5, "x", COMMAND, peer=peer, repeats=REPEATS, spread=spread)], {"Runs": rows})


def ours(pair: Pair) -> float:
    """Return the seconds of one epoch, sampling included."""
    torch.manual_seed(0)
    model = build_cross_domain_model(conet(), pair.item_domains, users=len(pair.train))
    state = init_training(model, training_config(), torch.device("cpu"))
    began = time.perf_counter()
    sampler = NegativeSampler(pair.train, pair.item_domains)
    users = UserHistories(pair.train, np.arange(len(pair.train)))
    CrossDomainStep(state, users, sampler, training_config(), NEGATIVES, seed=0)(0)
    return time.perf_counter() - began


def straightforward(pair: Pair, steps: int) -> float:
    """Return the seconds of an epoch, extrapolated from some of its steps."""
    torch.manual_seed(0)
    model = build_cross_domain_model(conet(), pair.item_domains, users=len(pair.train)).train()
    for table in model.modules():
        if isinstance(table, torch.nn.Embedding):
            table.sparse = False
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-4)
    histories = UserHistories(pair.train, np.arange(len(pair.train)))
    interacted = [set(history.tolist()) for history in _each(pair.train)]
    sampler = NegativeSampler(pair.train, pair.item_domains)
    planned = sample_epoch(histories, pair.item_domains, sampler, NEGATIVES, np.random.default_rng(0))
    domains = [(1, int(pair.item_domains.counts[1])), (1 + int(pair.item_domains.counts[1]), pair.item_domains.items)]
    began = time.perf_counter()
    for step in range(steps):
        part = slice(step * BATCH, (step + 1) * BATCH)
        users = planned.rows[part].tolist()
        items = [
            [
                [positive, *(_negative(interacted[user], *domains[side]) for _ in range(NEGATIVES))]
                for side, positive in enumerate(positives)
            ]
            for user, positives in zip(users, planned.items[part, :, 0].tolist(), strict=True)
        ]
        batch = cross_domain_batch(histories, pair.item_domains.sides, planned.rows[part])
        counted, shift = torch.from_numpy(planned.counted[part]), torch.from_numpy(planned.shift[part])
        optimizer.zero_grad()
        model.loss(PairBatch(batch, torch.tensor(items), counted, shift)).backward()
        optimizer.step()
    return (time.perf_counter() - began) / steps * len(planned.rows) / BATCH


def _negative(interacted: set[int], first: int, last: int) -> int:
    while True:
        item = random.randint(first, last)
        if item not in interacted:
            return item


def _each(sequences: Sequences) -> list[np.ndarray]:
    return [sequences[user] for user in range(len(sequences))]


if __name__ == "__main__":
    start(main, __doc__)
