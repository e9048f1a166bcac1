"""Logits of Yes and No after many prompts with a common beginning, which is read once.

The candidates of a user share everything up to their own title. The suffixes of several candidates stand behind that
prefix in one row, each attending to the prefix and to itself (kitrec/llm/likelihood/shared_prefix.py), so that every
value equals that of a separate forward pass. A user has several rows, a batch several users.
Shapes: B users, T positions of the prefix, N of the suffixes in a row, C candidates, h hidden width."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import DynamicCache

from kitrec.llm.likelihood.shared_prefix import states_behind_prefix, whole_cache
from kitrec.thinkrec.injection import embed
from kitrec.thinkrec.model import ThinkModel
from kitrec.thinkrec.objective import like_logit
from kitrec.thinkrec.params import Objective
from kitrec.thinkrec.prompt_composer import ComposedPrompt

ROW_TOKENS = 256  # of suffixes in one row: more would be masked against each other in vain
BATCH_TOKENS = 16_384  # of prefixes and suffixes, padded, in one batch of users


@dataclass(frozen=True)
class YesNoLogits:
    """Logits of Yes and No after each prompt [C], and their log probabilities over the whole vocabulary."""

    yes: np.ndarray
    no: np.ndarray
    log_yes: np.ndarray
    log_no: np.ndarray

    def probabilities(self, p: Objective) -> np.ndarray:
        """Return P(Yes) as the objective trained it."""
        logit = like_logit(torch.from_numpy(self.yes), torch.from_numpy(self.no), p)
        return logit.double().sigmoid().numpy()  # in 32 bits all logits above 17 would be equal


def shared_length(prompts: Sequence[ComposedPrompt]) -> int:
    """Return how many positions all prompts have in common; at least one is left to each."""
    first = prompts[0]
    shared = min(len(prompt) for prompt in prompts) - 1
    for prompt in prompts[1:]:
        different = np.flatnonzero(prompt.ids[:shared] != first.ids[:shared])
        shared = int(different[0]) if len(different) else shared
        shared = min(shared, _first_different_vector(first, prompt, shared))
    return shared


def _first_different_vector(first: ComposedPrompt, second: ComposedPrompt, shared: int) -> int:
    """Return the position before `shared` where one prompt has a vector that the other lacks, or `shared`."""
    count = min(len(first.slots), len(second.slots))
    same_slots = first.slots[:count] == second.slots[:count]
    same = same_slots & (first.vectors[:count] == second.vectors[:count]).all(axis=1)
    alike = int(np.argmin(same)) if not same.all() else count
    rest = [int(prompt.slots[alike]) for prompt in (first, second) if alike < len(prompt.slots)]
    return min([shared, *rest])


@torch.inference_mode()
def yes_no_logits(model: ThinkModel, lists: Sequence[Sequence[ComposedPrompt]]) -> list[YesNoLogits]:
    """Return the logits after each user's prompts, all users in one batch."""
    lengths = [shared_length(prompts) for prompts in lists]
    cache = whole_cache(model.causal.config)
    if any(lengths):
        prefixes = [cut(prompts[0], 0, length) for prompts, length in zip(lists, lengths, strict=True)]
        batch = embed(prefixes, model.table, model.projector, "right")
        model.decoder(inputs_embeds=batch.rows, past_key_values=cache, use_cache=True)
    suffixes = [
        [cut(prompt, length, len(prompt)) for prompt in prompts] for prompts, length in zip(lists, lengths, strict=True)
    ]
    rows = _pack_rows(suffixes)
    rows_per_user = len(rows) // len(lists)
    if any(lengths):
        cache.batch_repeat_interleave(rows_per_user)
    prefix_of_row = [length for length in lengths for _ in range(rows_per_user)]
    logits = _suffix_logits(model, rows, prefix_of_row, cache)
    starts = range(0, len(rows), rows_per_user)
    return [_as_logits(torch.cat(logits[start : start + rows_per_user])) for start in starts]


def yes_no_logits_one_by_one(model: ThinkModel, prompts: Sequence[ComposedPrompt]) -> YesNoLogits:
    """Return the same by a forward pass per prompt: slow, and the reference for `yes_no_logits`."""
    rows = []
    with torch.inference_mode():
        for prompt in prompts:
            batch = embed([prompt], model.table, model.projector, "right")
            hidden = model.decoder(inputs_embeds=batch.rows, use_cache=False).last_hidden_state[:, -1]
            rows.append(_logits(model, hidden))
    return _as_logits(torch.cat(rows))


def batches_by_length(lists: Sequence[Sequence[ComposedPrompt]]) -> list[list[int]]:
    """Return batches of users with prompts of similar length, as many users as BATCH_TOKENS allow."""
    lengths = np.array([len(prompts[0]) for prompts in lists])
    batches: list[list[int]] = []
    room = 0
    for user in np.argsort(-lengths, kind="stable").tolist():
        needed = _positions(lists[user])
        if not batches or needed > room:
            batches.append([])
            room = BATCH_TOKENS
        batches[-1].append(user)
        room -= needed
    return batches


def _positions(prompts: Sequence[ComposedPrompt]) -> int:
    """Return how many positions the rows of a user take, the prefix counted in each."""
    shared = shared_length(prompts)
    suffixes = sum(len(prompt) - shared for prompt in prompts)
    return -(-suffixes // ROW_TOKENS) * (shared + min(suffixes, ROW_TOKENS))


def cut(prompt: ComposedPrompt, start: int, end: int) -> ComposedPrompt:
    """Return some positions of a prompt."""
    inside = (prompt.slots >= start) & (prompt.slots < end)
    return ComposedPrompt(prompt.ids[start:end], prompt.slots[inside] - start, prompt.vectors[inside])


def _pack_rows(suffixes: list[list[ComposedPrompt]]) -> list[list[ComposedPrompt]]:
    """Pack suffixes into rows of at most ROW_TOKENS, equally many rows per user, in the order of the candidates."""
    rows: list[list[list[ComposedPrompt]]] = []
    for of_user in suffixes:
        packed: list[list[ComposedPrompt]] = [[]]
        for suffix in of_user:
            if packed[-1] and sum(map(len, packed[-1])) + len(suffix) > ROW_TOKENS:
                packed.append([])
            packed[-1].append(suffix)
        rows.append(packed)
    most = max(map(len, rows))
    return [row for of_user in rows for row in [*of_user, *[[]] * (most - len(of_user))]]


def _suffix_logits(
    model: ThinkModel, rows: list[list[ComposedPrompt]], prefix_lengths: list[int], cache: DynamicCache
) -> list[torch.Tensor]:
    """Return _logits after each suffix of each row."""
    batch = embed([_joined(row) for row in rows], model.table, model.projector, "right")
    count, device = batch.rows.shape[1], batch.rows.device
    part = np.full((len(rows), count), -1)
    depth = np.zeros((len(rows), count), dtype=np.int64)
    for number, row in enumerate(rows):
        lengths = [len(suffix) for suffix in row]
        part[number, : sum(lengths)] = np.repeat(np.arange(len(row)), lengths)
        depth[number, : sum(lengths)] = np.concatenate([np.arange(length) for length in lengths]) if row else []
    which, positions = torch.from_numpy(part).to(device), torch.from_numpy(depth).to(device)
    same_suffix = which[:, :, None] == which[:, None, :]
    visible = same_suffix & (positions[:, :, None] >= positions[:, None, :])
    suffixes = {"inputs_embeds": batch.rows}
    hidden = states_behind_prefix(model.decoder, suffixes, positions, visible, prefix_lengths, cache)
    ends = [np.cumsum([len(suffix) for suffix in row], dtype=np.int64) - 1 for row in rows]
    return [_logits(model, hidden[row, torch.from_numpy(last).to(device)]) for row, last in enumerate(ends)]


def _joined(suffixes: list[ComposedPrompt]) -> ComposedPrompt:
    """Concatenate suffixes; a single unused token where there is none."""
    if not suffixes:
        empty_slots, empty_vectors = np.zeros(0, dtype=np.int64), np.zeros((0, 0), dtype=np.float32)
        return ComposedPrompt(np.zeros(1, dtype=np.int64), empty_slots, empty_vectors)
    starts = np.cumsum([0, *(len(suffix) for suffix in suffixes[:-1])])
    slots = np.concatenate([suffix.slots + start for suffix, start in zip(suffixes, starts, strict=True)])
    ids = np.concatenate([suffix.ids for suffix in suffixes])
    return ComposedPrompt(ids, slots, np.concatenate([suffix.vectors for suffix in suffixes]))


def _logits(model: ThinkModel, hidden: torch.Tensor) -> torch.Tensor:
    """Return the logit of Yes, of No, and the log-sum-exp of all [C, 3]."""
    logits, verdict = model.causal.get_output_embeddings()(hidden).float(), model.verdict_logits(hidden)
    logits[:, [model.verdict_tokens.yes, model.verdict_tokens.no]] = verdict
    return torch.cat([verdict, logits.logsumexp(1, keepdim=True)], dim=1)


def _as_logits(columns: torch.Tensor) -> YesNoLogits:
    yes, no, total = columns.cpu().numpy().T
    return YesNoLogits(yes, no, yes - total, no - total)
