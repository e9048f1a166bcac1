"""Teacher outputs that students are distilled from: top-k lists with confidences, and item embeddings.

    distance of item c = -log softmax over the candidates(log p(c))        0 is certainty, lower is more confident
so that exp(-distance), the weight of DLLM2Rec, is the teacher's probability.
    embedding of an item = mean of the last hidden states over the tokens of its line
An item has no user: its line is read under the mean gate of the given users."""

from collections.abc import Sequence

import numpy as np
import polars as pl
import torch
from scipy.special import log_softmax

from kitrec.core.errors import InputError
from kitrec.distillation.item_embeddings import ItemEmbeddings
from kitrec.ilora.dataset import scoring_dataset
from kitrec.ilora.prompts import PromptBuilder
from kitrec.ilora.scoring import log_likelihoods
from kitrec.ilora.teacher import Teacher
from kitrec.llm.likelihood.shared_prefix import batches
from kitrec.recommenders.data.title_vectors import memory_mapped
from kitrec.schemas.teacher_lists import KEY

SHARD_SIZE = 64  # tasks whose prompts are held in memory at once, and that an interrupted run has to repeat
BATCH_TOKENS = 16_384
PART = 65_536  # items whose lines are held in memory at once; their vectors go to a memory-mapped file


def rank_candidates(
    teacher: Teacher, tasks: pl.DataFrame, builder: PromptBuilder, topk: int, *, per_token: bool
) -> pl.DataFrame:
    """Return a TEACHER_LISTS table: the best `topk` candidates of every task; ties in the order of their ids."""
    shortest = tasks["candidates"].list.len().min()
    if isinstance(shortest, int) and shortest < topk:
        raise InputError(f"a task has only {shortest} candidates: a ranking of {topk} needs as many; lower topk")
    scores = score_candidates(teacher, tasks, builder, per_token=per_token)
    items, distances = [], []
    for task_scores, candidates in zip(scores, tasks["candidates"].to_list(), strict=True):
        distance = -log_softmax(task_scores)
        best = sorted(range(len(candidates)), key=lambda k: (distance[k], candidates[k]))[:topk]
        items.append([candidates[k] for k in best])
        distances.append(distance[best].tolist())
    return tasks.select(*KEY, next_id="ground_truth").with_columns(
        pl.Series("item_ids", items, dtype=pl.List(pl.String)),
        pl.Series("distances", distances, dtype=pl.List(pl.Float64)),
    )


def score_candidates(
    teacher: Teacher, tasks: pl.DataFrame, builder: PromptBuilder, *, per_token: bool
) -> list[np.ndarray]:
    """Return the log-likelihoods of every task's candidates, in the order in which the prompt shows them."""
    return log_likelihoods(teacher, scoring_dataset(tasks, builder, teacher.sequence_encoder), per_token=per_token)


def item_embeddings(
    teacher: Teacher, item_ids: Sequence[str], builder: PromptBuilder, histories: Sequence[Sequence[str]]
) -> ItemEmbeddings:
    """Return embeddings [items, hidden size]; `histories` are those of the users whose mean gate is used."""
    vectors = memory_mapped((len(item_ids), teacher.base.config.hidden_size))
    teacher.train(False)
    with torch.inference_mode():
        gate = teacher.gates(teacher.sequence_encoder.encode(histories)).mean(0, keepdim=True)
        for start in range(0, len(item_ids), PART):
            lines = [builder.item_tokens(item) for item in item_ids[start : start + PART]]
            for batch in batches([len(line) for line in lines], BATCH_TOKENS):
                with teacher.use_gates(gate.expand(len(batch), -1)):
                    vectors[start + np.array(batch)] = _mean_states(teacher, [lines[k] for k in batch])
    return ItemEmbeddings(list(item_ids), vectors)


def _mean_states(teacher: Teacher, lines: list[list[int]]) -> np.ndarray:
    """Average the last hidden states over each line, [B, hidden size]; right padding is not counted."""
    longest = max(map(len, lines))
    ids = torch.tensor([[*line, *[0] * (longest - len(line))] for line in lines], device=teacher.device)
    mask = torch.arange(longest, device=teacher.device) < torch.tensor(
        [len(line) for line in lines], device=teacher.device
    ).unsqueeze(1)
    hidden = teacher.decoder(input_ids=ids, use_cache=False).last_hidden_state.float()
    return ((hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)).cpu().numpy()
