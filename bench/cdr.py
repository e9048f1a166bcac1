"""How long is an epoch of CoNet beside a straightforward trainer?   python -m bench.cdr   (KITREC_PUBLIC_DATA)

amazon_sport_cloth, the paper's form, width 32, 4 negatives, batches of 256 pairs, same towers, same cores, in turns,
after a turn that does not count. The straightforward trainer draws each batch's negatives by a Python loop over a set
of known items and takes dense AdamW steps over all embeddings, as public implementations of these models do."""

import random
import time
from typing import Any

import numpy as np
import torch

from bench.cdr_data import Pair, sport_cloth
from bench.cdr_settings import conet, course
from bench.claims import at_least, publish
from bench.command import start
from kitrec.recommenders.cross_domain_training import CrossDomainStep, init_training
from kitrec.recommenders.data.cross_domain_batches import Readers, ask
from kitrec.recommenders.data.item_domains import Unknown
from kitrec.recommenders.data.pair_batches import epoch
from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.models.cross_domain_model import Lesson
from kitrec.recommenders.models.registry import build_cross_domain_model

COMMAND, REPEATS, BATCH, NEGATIVES = "python -m bench.cdr", 3, 256, 4
STEPS = 60  # of the straightforward trainer, then its epoch is reckoned from them


def main() -> None:
    """Both sides in turns, one epoch of ours and STEPS steps of the other each."""
    pair = sport_cloth()
    rows: list[dict[str, Any]] = []
    ours(pair)  # what torch loads at its first step is nobody's
    for repeat in range(REPEATS):
        mine, other = ours(pair), straightforward(pair, STEPS)
        rows.append({"repeat": repeat, "seconds": round(mine, 2), "straightforward": round(other, 2)})
    ratios = [row["straightforward"] / row["seconds"] for row in rows]
    spread = f"{min(ratios):.1f} to {max(ratios):.1f}"
    text = "CoNet: an epoch of amazon_sport_cloth"
    peer = "per-batch Python sampler, dense AdamW"
    mean = float(np.mean(ratios))
    publish("cdr", [at_least(text, mean, 5, "x", COMMAND, peer=peer, repeats=REPEATS, spread=spread)], {"Runs": rows})


def ours(pair: Pair) -> float:
    """Seconds of one epoch, its sampling included."""
    torch.manual_seed(0)
    model = build_cross_domain_model(conet(), pair.catalogue, users=len(pair.train))
    training = init_training(model, course())
    began = time.perf_counter()
    unknown, readers = Unknown(pair.train, pair.catalogue), Readers(pair.train, np.arange(len(pair.train)))
    CrossDomainStep(training, readers, unknown, course(), NEGATIVES, seed=0)(0)
    return time.perf_counter() - began


def straightforward(pair: Pair, steps: int) -> float:
    """Seconds of an epoch, from some of its steps."""
    torch.manual_seed(0)
    model = build_cross_domain_model(conet(), pair.catalogue, users=len(pair.train)).train()
    for table in model.modules():
        if isinstance(table, torch.nn.Embedding):
            table.sparse = False
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-4)
    readers, known = Readers(pair.train, np.arange(len(pair.train))), [set(own.tolist()) for own in _each(pair.train)]
    planned = epoch(readers, pair.catalogue, Unknown(pair.train, pair.catalogue), NEGATIVES, np.random.default_rng(0))
    domains = [(1, int(pair.catalogue.counts[1])), (1 + int(pair.catalogue.counts[1]), pair.catalogue.items)]
    began = time.perf_counter()
    for step in range(steps):
        part = slice(step * BATCH, (step + 1) * BATCH)
        users = planned.rows[part].tolist()
        items = [
            [
                [positive, *(_unknown(known[user], *domains[side]) for _ in range(NEGATIVES))]
                for side, positive in enumerate(own)
            ]
            for user, own in zip(users, planned.items[part, :, 0].tolist(), strict=True)
        ]
        asked = ask(readers, pair.catalogue.sides, planned.rows[part])
        counted, shift = torch.from_numpy(planned.counted[part]), torch.from_numpy(planned.shift[part])
        optimizer.zero_grad()
        model.loss(Lesson(asked, torch.tensor(items), counted, shift)).backward()
        optimizer.step()
    return (time.perf_counter() - began) / steps * len(planned.rows) / BATCH


def _unknown(known: set[int], first: int, last: int) -> int:
    while True:
        item = random.randint(first, last)
        if item not in known:
            return item


def _each(sequences: Sequences) -> list[np.ndarray]:
    return [sequences[user] for user in range(len(sequences))]


if __name__ == "__main__":
    start(main, __doc__)
