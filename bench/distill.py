"""Time of an epoch of distillation beside a straightforward trainer.   python -m bench.distill

KITREC_PUBLIC_DATA names the data. toys_s3rec, rows of up to 10 items, SASRec of width 64, BCE with one negative, 10
items of a teacher, item vectors of width 4096 injected; as many rows per step, same cores, in turns after a warm-up
turn. The straightforward trainer takes rows one window each, gathers and projects the teacher's vectors anew
wherever it reads an item, and loops in Python over the ten items, as the published code does. Its own list comes by
topk, its negatives by one draw: cheaper than the published full sort and draw from a mask. Its epoch time is
extrapolated from some of its steps."""

import time
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from bench.claims import at_least, publish
from bench.distill_data import WINDOW, Split, split_of
from bench.distill_settings import SASREC, STUDENTS
from bench.running import start
from kitrec.core.randomness import generator
from kitrec.distillation.alignment import AlignedLists, split_into_windows
from kitrec.distillation.auxiliary_losses import RankingDistillationLoss, combine_losses
from kitrec.distillation.item_embeddings import EmbeddingTable
from kitrec.distillation.item_vector_transfer import inject
from kitrec.distillation.losses import importance_weights
from kitrec.distillation.params import StudentConfig
from kitrec.distillation.selection_policies import build_policy
from kitrec.distillation.topk_lists import all_prefixes, next_items, prefix_items
from kitrec.recommenders.data.packed_batches import pack
from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.models.registry import build_sequence_model
from kitrec.recommenders.models.sasrec import SASRec
from kitrec.recommenders.sequence_training import AuxiliaryLoss, init_training, train
from kitrec.training.state import TrainingState

COMMAND, REPEATS, BATCH, STEPS, WIDTH = "python -m bench.distill", 3, 256, 8, 4096


def main() -> None:
    """Measure both sides in turns, one epoch of ours and STEPS steps of the other each."""
    split, p = split_of("toys_s3rec"), STUDENTS["sasrec"]
    rows: list[dict[str, Any]] = []
    ours(split, p)  # warm-up: torch loads libraries at its first step
    for repeat in range(REPEATS):
        seconds, plain = ours(split, p), straightforward(split, p, STEPS)
        rows.append({"repeat": repeat, "seconds": round(seconds, 2), "straightforward": round(plain, 2)})
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


def made_lists(count: int, items: int) -> tuple[np.ndarray, np.ndarray]:
    """Return random item numbers and distances [rows, 10]: the time does not depend on them."""
    rng = generator(0, "bench distill")
    return rng.integers(1, items + 1, size=(count, 10)), rng.random((count, 10)).astype(np.float32)


def made_vectors(rows: int) -> EmbeddingTable:
    """Return random teacher vectors of all items but the padding."""
    has_vector = np.ones(rows, dtype=bool)
    has_vector[0] = False
    return EmbeddingTable(generator(1, "bench distill").standard_normal((rows, WIDTH), dtype=np.float32), has_vector)


def ours(split: Split, p: StudentConfig) -> float:
    """Return the seconds of one epoch."""
    rows = split_into_windows(split.rows, WINDOW + 1, 1)
    of_place = np.arange(len(rows.sequences.items))
    items, distances = made_lists(len(of_place), len(split.vocabulary))
    lists = AlignedLists(of_place, items, distances, {})
    torch.manual_seed(0)
    model = build_sequence_model(SASREC, len(split.vocabulary))
    inject(model, made_vectors(len(split.vocabulary) + 1), p.embedding.weight, seed=0)
    state = init_training(model, p.student.training)
    sequences = rows.sequences.take(np.flatnonzero(rows.sequences.lengths > 1))
    share = torch.ones(len(split.vocabulary))
    auxiliary_loss = combine_losses(
        [RankingDistillationLoss(model, sequences, lists, build_policy(p.selection, lists, 0), share, p, 0)]
    )
    return _epoch_seconds(state, sequences, p, auxiliary_loss)


def _epoch_seconds(
    state: TrainingState[Any], sequences: Sequences, p: StudentConfig, auxiliary_loss: AuxiliaryLoss | None
) -> float:
    once = replace(p.student.training, mode="full_data", epochs=1, batch_size=BATCH)
    began = time.perf_counter()
    train(state, sequences, None, once, p.student.loss, 0, lambda _: None, auxiliary_loss)
    return time.perf_counter() - began


class Plain(nn.Module):
    """SASRec that projects the teacher's vectors wherever it reads items."""

    def __init__(self, items: int, teacher: torch.Tensor, weight: float) -> None:
        super().__init__()
        self.student, self.project = SASRec(items, SASREC), nn.Linear(WIDTH, SASREC.hidden_size)
        self.teacher, self.weight = teacher, weight

    def items(self, numbers: torch.Tensor) -> torch.Tensor:
        return self.student.items(numbers) + self.weight * self.project(self.teacher[numbers])

    def states(self, windows: Sequences) -> torch.Tensor:
        batch = pack(windows)
        x = self.items(batch.items) * self.student.scale + self.student.places(batch.from_end)
        for block in self.student.blocks:
            x = block(x, batch)
        states: torch.Tensor = self.student.norm(x)[batch.ends]
        return states


def straightforward(split: Split, p: StudentConfig, steps: int) -> float:
    """Return the seconds of an epoch, extrapolated from some of its steps."""
    positions, count = all_prefixes(split.rows.sequences), len(split.vocabulary)
    windows, targets = (
        prefix_items(split.rows.sequences, positions).newest(WINDOW),
        next_items(split.rows.sequences, positions),
    )
    listed, distances = made_lists(len(positions), count)
    torch.manual_seed(0)
    model = Plain(count, torch.from_numpy(made_vectors(count + 1).vectors), p.embedding.weight)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    order = generator(0, "bench order").permutation(len(positions))
    size = len(positions) // -(-len(split.rows.sequences) // BATCH)  # as many rows per step as ours
    began = time.perf_counter()
    for step in range(steps):
        rows = order[step * size : (step + 1) * size]
        optimizer.zero_grad()
        teacher = torch.from_numpy(listed[rows]), torch.from_numpy(distances[rows])
        _loss(model, windows.take(rows), torch.from_numpy(targets[rows]), *teacher, p).backward()
        optimizer.step()
    return (time.perf_counter() - began) / steps * len(positions) / size


def _loss(
    model: Plain,
    windows: Sequences,
    targets: torch.Tensor,
    listed: torch.Tensor,
    distances: torch.Tensor,
    p: StudentConfig,
) -> torch.Tensor:
    states = model.states(windows)
    negative = F.softplus((states * model.items(torch.randint(1, len(model.teacher), (len(targets),)))).sum(1))
    loss = (F.softplus(-(states * model.items(targets)).sum(1)) + negative).mean()
    with torch.no_grad():
        best = (states @ model.student.items.weight.T).topk(10).indices
        agreed = (listed[:, :, None] == best[:, None, :]).any(2)
    weights = importance_weights(distances, agreed, p.ranking.importance)
    for k in range(listed.shape[1]):
        positive = F.softplus(-(states * model.items(listed[:, k])).sum(1))
        loss = loss + p.ranking.weight * (weights[:, k] * (positive + negative)).mean()
    return loss


if __name__ == "__main__":
    start(main, __doc__)
