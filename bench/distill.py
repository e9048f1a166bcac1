"""How long is an epoch of distillation beside a straightforward trainer?   python -m bench.distill

KITREC_PUBLIC_DATA names the data. toys_s3rec, rows of up to 10 items, SASRec of width 64, BCE with one negative, 10
items of a teacher, item vectors of width 4096 injected; as many rows a step, same cores, in turns, after a turn that
does not count. The straightforward trainer takes rows one window each, gathers and projects the teacher's vectors anew
wherever it reads an item, and loops in Python over the ten items, as the published code does. Its own list comes by
topk, its negatives by one draw: cheaper than the published full sort and draw from a mask. Its epoch is reckoned from
some of its steps."""

import time
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from bench.claims import at_least, publish
from bench.command import start
from bench.distill_data import WINDOW, Split, split_of
from bench.distill_settings import SASREC, STUDENTS
from kitrec.core.randomness import generator
from kitrec.distillation.alignment import Lists, cut
from kitrec.distillation.auxiliary_losses import Ranked, summed
from kitrec.distillation.importance import importance
from kitrec.distillation.item_embeddings import Table
from kitrec.distillation.item_vector_transfer import inject
from kitrec.distillation.params import Distill
from kitrec.distillation.prefixes import before, came, places_of
from kitrec.distillation.selection_policies import policy
from kitrec.recommenders.data.packed_batches import pack
from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.models.registry import build_sequence_model
from kitrec.recommenders.models.sasrec import SASRec
from kitrec.recommenders.sequence_training import AuxiliaryLoss, init_training, train
from kitrec.training.state import TrainingState

COMMAND, REPEATS, BATCH, STEPS, WIDTH = "python -m bench.distill", 3, 256, 8, 4096


def main() -> None:
    """Both sides in turns, one epoch of ours and STEPS steps of the other each."""
    split, p = split_of("toys_s3rec"), STUDENTS["sasrec"]
    rows: list[dict[str, Any]] = []
    ours(split, p)  # what torch loads at its first step is nobody's
    for repeat in range(REPEATS):
        mine, other = ours(split, p), straightforward(split, p, STEPS)
        rows.append({"repeat": repeat, "seconds": round(mine, 2), "straightforward": round(other, 2)})
    ratios = [row["straightforward"] / row["seconds"] for row in rows]
    spread = f"{min(ratios):.1f} to {max(ratios):.1f}"
    text, peer = (
        "Distillation: an epoch of toys_s3rec, 10 items a row",
        "Python loop over the items, vectors gathered anew",
    )
    mean = float(np.mean(ratios))
    publish(
        "distill", [at_least(text, mean, 3, "x", COMMAND, peer=peer, repeats=REPEATS, spread=spread)], {"Runs": rows}
    )


def a_teacher(count: int, items: int) -> tuple[np.ndarray, np.ndarray]:
    """[rows, 10] item numbers and distances: time does not ask what they say."""
    rng = generator(0, "bench distill")
    return rng.integers(1, items + 1, size=(count, 10)), rng.random((count, 10)).astype(np.float32)


def vectors(rows: int) -> Table:
    known = np.ones(rows, dtype=bool)
    known[0] = False
    return Table(generator(1, "bench distill").standard_normal((rows, WIDTH), dtype=np.float32), known)


def ours(split: Split, p: Distill) -> float:
    """Seconds of one epoch."""
    rows = cut(split.rows, WINDOW + 1, 1)
    of_place = np.arange(len(rows.sequences.items))
    items, distances = a_teacher(len(of_place), len(split.vocabulary))
    lists = Lists(of_place, items, distances, {})
    torch.manual_seed(0)
    model = build_sequence_model(SASREC, len(split.vocabulary))
    inject(model, vectors(len(split.vocabulary) + 1), p.embedding.weight, seed=0)
    training = init_training(model, p.student.course)
    own = rows.sequences.take(np.flatnonzero(rows.sequences.lengths > 1))
    share = torch.ones(len(split.vocabulary))
    auxiliary_loss = summed([Ranked(model, own, lists, policy(p.selection, lists, 0), share, p, 0)])
    return _one_epoch(training, own, p, auxiliary_loss)


def _one_epoch(
    training: TrainingState[Any], own: Sequences, p: Distill, auxiliary_loss: AuxiliaryLoss | None = None
) -> float:
    once = replace(p.student.course, mode="full_data", epochs=1, batch=BATCH)
    began = time.perf_counter()
    train(training, own, None, once, p.student.loss, 0, lambda _: None, auxiliary_loss)
    return time.perf_counter() - began


class Plain(nn.Module):
    """The same SASRec with the teacher's vectors projected wherever items are read."""

    def __init__(self, items: int, teacher: torch.Tensor, weight: float) -> None:
        super().__init__()
        self.student, self.project = SASRec(items, SASREC), nn.Linear(WIDTH, SASREC.hidden)
        self.teacher, self.weight = teacher, weight

    def items(self, numbers: torch.Tensor) -> torch.Tensor:
        return self.student.items(numbers) + self.weight * self.project(self.teacher[numbers])

    def states(self, windows: Sequences) -> torch.Tensor:
        batch = pack(windows)
        x = self.items(batch.items) * self.student.scale + self.student.places(batch.from_end)
        for block in self.student.blocks:
            x = block(x, batch)
        found: torch.Tensor = self.student.norm(x)[batch.ends]
        return found


def straightforward(split: Split, p: Distill, steps: int) -> float:
    """Seconds of an epoch, from some of its steps."""
    places, count = places_of(split.rows.sequences), len(split.vocabulary)
    windows, wanted = before(split.rows.sequences, places).newest(WINDOW), came(split.rows.sequences, places)
    listed, distances = a_teacher(len(places), count)
    torch.manual_seed(0)
    model = Plain(count, torch.from_numpy(vectors(count + 1).vectors), p.embedding.weight)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    order = generator(0, "bench order").permutation(len(places))
    size = len(places) // -(-len(split.rows.sequences) // BATCH)  # as many rows a step as ours has
    began = time.perf_counter()
    for step in range(steps):
        rows = order[step * size : (step + 1) * size]
        optimizer.zero_grad()
        teacher = torch.from_numpy(listed[rows]), torch.from_numpy(distances[rows])
        _loss(model, windows.take(rows), torch.from_numpy(wanted[rows]), *teacher, p).backward()
        optimizer.step()
    return (time.perf_counter() - began) / steps * len(places) / size


def _loss(
    model: Plain, windows: Sequences, wanted: torch.Tensor, listed: torch.Tensor, distances: torch.Tensor, p: Distill
) -> torch.Tensor:
    states = model.states(windows)
    negative = F.softplus((states * model.items(torch.randint(1, len(model.teacher), (len(wanted),)))).sum(1))
    loss = (F.softplus(-(states * model.items(wanted)).sum(1)) + negative).mean()
    with torch.no_grad():
        best = (states @ model.student.items.weight.T).topk(10).indices
        agreed = (listed[:, :, None] == best[:, None, :]).any(2)
    weights = importance(distances, agreed, p.ranking.importance)
    for k in range(listed.shape[1]):
        liked = F.softplus(-(states * model.items(listed[:, k])).sum(1))
        loss = loss + p.ranking.weight * (weights[:, k] * (liked + negative)).mean()
    return loss


if __name__ == "__main__":
    start(main, __doc__)
