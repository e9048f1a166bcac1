"""What a teacher hands on to its students: rankings with confidences, and embeddings of items.

    distance of item c = -log softmax over the candidates(log p(c))        0 is certainty, lower is surer
so that exp(-distance), the weight of DLLM2Rec, is the teacher's probability.
    embedding of an item = mean of the last hidden states over the ids of its line
An item has no reader: its line is read under the mean gate of the given readers."""

from collections.abc import Sequence

import numpy as np
import polars as pl
import torch
from scipy.special import log_softmax

from kitrec.core.errors import InputError
from kitrec.distillation.item_embeddings import Embeddings
from kitrec.ilora.dataset import questions_of
from kitrec.ilora.prompts import Writer
from kitrec.ilora.scoring import batches, likelihoods
from kitrec.ilora.teacher import Teacher
from kitrec.schemas.teacher_lists import KEY

SHARD = 64  # tasks whose prompts are there at once, and that a killed run has to repeat
READ_TOKENS = 16_384


def rank(teacher: Teacher, tasks: pl.DataFrame, writer: Writer, top: int, *, per_token: bool) -> pl.DataFrame:
    """A TEACHER table: the `top` candidates of every task, best first; equal ones in the order of their ids."""
    fewest = tasks["candidates"].list.len().min()
    if isinstance(fewest, int) and fewest < top:
        raise InputError(f"a task has only {fewest} candidates: a ranking of {top} needs as many; lower top")
    values = scores(teacher, tasks, writer, per_token=per_token)
    items, distances = [], []
    for own, listed in zip(values, tasks["candidates"].to_list(), strict=True):
        distance = -log_softmax(own)
        best = sorted(range(len(listed)), key=lambda k: (distance[k], listed[k]))[:top]
        items.append([listed[k] for k in best])
        distances.append(distance[best].tolist())
    return tasks.select(*KEY, next_id="truth").with_columns(
        pl.Series("item_ids", items, dtype=pl.List(pl.String)),
        pl.Series("distances", distances, dtype=pl.List(pl.Float64)),
    )


def scores(teacher: Teacher, tasks: pl.DataFrame, writer: Writer, *, per_token: bool) -> list[np.ndarray]:
    """The log likelihood of every task's candidates, in their shown order."""
    return likelihoods(teacher, questions_of(tasks, writer, teacher.eyes), per_token=per_token)


def item_embeddings(
    teacher: Teacher, item_ids: Sequence[str], writer: Writer, histories: Sequence[Sequence[str]]
) -> Embeddings:
    """Vectors [items, width] of some items; `histories` belong to the readers that the teacher knows."""
    lines = [writer.item_text(item) for item in item_ids]
    found = np.empty((len(lines), teacher.base.config.hidden_size), dtype=np.float32)
    teacher.train(False)
    with torch.inference_mode():
        gate = teacher.gates(teacher.eyes.seen(histories)).mean(0, keepdim=True)
        for batch in batches([len(line) for line in lines], READ_TOKENS):
            with teacher.speaking(gate.expand(len(batch), -1)):
                found[batch] = _read(teacher, [lines[k] for k in batch])
    return Embeddings(list(item_ids), found)


def _read(teacher: Teacher, lines: list[list[int]]) -> np.ndarray:
    """[B, width]: the mean of the states over each line; padding is on the right and not counted."""
    longest = max(map(len, lines))
    ids = torch.tensor([[*line, *[0] * (longest - len(line))] for line in lines], device=teacher.device)
    real = torch.arange(longest, device=teacher.device) < torch.tensor(
        [len(line) for line in lines], device=teacher.device
    ).unsqueeze(1)
    hidden = teacher.decoder(input_ids=ids, use_cache=False).last_hidden_state.float()
    return ((hidden * real[..., None]).sum(1) / real.sum(1, keepdim=True)).cpu().numpy()
