"""How Yes and No stand after many prompts that begin alike: the common beginning is read once.

The candidates of a user share everything up to their own title. That part is read causally, its keys and values kept;
then the rests of several candidates stand behind it in one row, each seeing the common part and itself, at the
positions it would have alone. So every value is that of a forward of its own. A user has several rows, a batch several
users.
Shapes: B users, T positions of the common part, N of the rests in a row, h hidden width."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import DynamicCache

from kitrec.thinkrec.injection import embed
from kitrec.thinkrec.model import ThinkModel
from kitrec.thinkrec.objective import decision
from kitrec.thinkrec.params import Objective
from kitrec.thinkrec.prompt_composer import Composed

ROW_TOKENS = 256  # of rests that stand in one row: more would look at each other in vain
BATCH_TOKENS = 16_384  # of common parts and rests, padded, in one batch of users


@dataclass(frozen=True)
class Said:
    """Logits of Yes and No after each prompt, and their log probabilities among all words."""

    yes: np.ndarray
    no: np.ndarray
    log_yes: np.ndarray
    log_no: np.ndarray

    def probabilities(self, p: Objective) -> np.ndarray:
        """P(Yes) as the objective trained it."""
        found = decision(torch.from_numpy(self.yes), torch.from_numpy(self.no), p)
        return found.double().sigmoid().numpy()  # in 32 bits all surer than 17 would be equal


def shared_length(prompts: Sequence[Composed]) -> int:
    """How many positions all prompts have in common; at least one is left to each."""
    first = prompts[0]
    shared = min(len(own) for own in prompts) - 1
    for own in prompts[1:]:
        unlike = np.flatnonzero(own.ids[:shared] != first.ids[:shared])
        shared = int(unlike[0]) if len(unlike) else shared
        shared = min(shared, _first_unlike_vector(first, own, shared))
    return shared


def _first_unlike_vector(one: Composed, other: Composed, shared: int) -> int:
    """Where, before `shared`, one has a vector that the other has not."""
    count = min(len(one.slots), len(other.slots))
    same = (one.slots[:count] == other.slots[:count]) & (one.vectors[:count] == other.vectors[:count]).all(axis=1)
    alike = int(np.argmin(same)) if not same.all() else count
    rest = [int(own.slots[alike]) for own in (one, other) if alike < len(own.slots)]
    return min([shared, *rest])


@torch.inference_mode()
def ask(model: ThinkModel, lists: Sequence[Sequence[Composed]]) -> list[Said]:
    """What the model says to each user's prompts, all users in one batch."""
    heads = [shared_length(prompts) for prompts in lists]
    cache = DynamicCache(config=model.causal.config)
    longest = max(heads)
    if longest:
        common = [cut(prompts[0], 0, head) for prompts, head in zip(lists, heads, strict=True)]
        batch = embed(common, model.table, model.projector, "right")
        model.decoder(inputs_embeds=batch.rows, past_key_values=cache, use_cache=True)
    rests = [[cut(own, head, len(own)) for own in prompts] for prompts, head in zip(lists, heads, strict=True)]
    rows = _rows(rests)
    each = len(rows) // len(lists)
    if longest:
        cache.batch_repeat_interleave(each)
    found = _read(model, rows, [head for head in heads for _ in range(each)], longest, cache)
    return [_said(torch.cat(found[start : start + each])) for start in range(0, len(rows), each)]


def ask_one_by_one(model: ThinkModel, prompts: Sequence[Composed]) -> Said:
    """The same by a forward for each prompt: slow, and the truth that `ask` is held to."""
    rows = []
    with torch.inference_mode():
        for own in prompts:
            batch = embed([own], model.table, model.projector, "right")
            hidden = model.decoder(inputs_embeds=batch.rows, use_cache=False).last_hidden_state[:, -1]
            rows.append(_logits(model, hidden))
    return _said(torch.cat(rows))


def batches(lists: Sequence[Sequence[Composed]]) -> list[list[int]]:
    """Users that are asked together: neighbours in length, as many as BATCH_TOKENS allow."""
    lengths = np.array([len(prompts[0]) for prompts in lists])
    found: list[list[int]] = []
    room = 0
    for user in np.argsort(-lengths, kind="stable").tolist():
        needed = _positions(lists[user])
        if not found or needed > room:
            found.append([])
            room = BATCH_TOKENS
        found[-1].append(user)
        room -= needed
    return found


def _positions(prompts: Sequence[Composed]) -> int:
    """How many positions the rows of a user take, the common part counted in each."""
    shared = shared_length(prompts)
    rests = sum(len(own) - shared for own in prompts)
    return -(-rests // ROW_TOKENS) * (shared + min(rests, ROW_TOKENS))


def cut(own: Composed, start: int, end: int) -> Composed:
    """Some positions of a prompt."""
    inside = (own.slots >= start) & (own.slots < end)
    return Composed(own.ids[start:end], own.slots[inside] - start, own.vectors[inside])


def _rows(rests: list[list[Composed]]) -> list[list[Composed]]:
    """Rests in rows of at most ROW_TOKENS, equally many rows for each user, in the order of the candidates."""
    rows: list[list[list[Composed]]] = []
    for own in rests:
        packed: list[list[Composed]] = [[]]
        for rest in own:
            if packed[-1] and sum(map(len, packed[-1])) + len(rest) > ROW_TOKENS:
                packed.append([])
            packed[-1].append(rest)
        rows.append(packed)
    most = max(map(len, rows))
    return [row for own in rows for row in [*own, *[[]] * (most - len(own))]]


def _read(
    model: ThinkModel, lines: list[list[Composed]], heads: list[int], longest: int, cache: DynamicCache
) -> list[torch.Tensor]:
    """What _logits says after each rest of each row."""
    batch = embed([_joined(own) for own in lines], model.table, model.projector, "right")
    count, device = batch.rows.shape[1], batch.rows.device
    part = np.full((len(lines), count), -1)
    depth = np.zeros((len(lines), count), dtype=np.int64)
    for row, own in enumerate(lines):
        lengths = [len(rest) for rest in own]
        part[row, : sum(lengths)] = np.repeat(np.arange(len(own)), lengths)
        depth[row, : sum(lengths)] = np.concatenate([np.arange(length) for length in lengths]) if own else []
    which, places = torch.from_numpy(part).to(device), torch.from_numpy(depth).to(device)
    start = torch.tensor(heads, device=device)[:, None]
    seen = torch.zeros(len(lines), count, longest + count, dtype=torch.bool, device=device)
    seen[:, :, :longest] = (torch.arange(longest, device=device) < start)[:, None]
    seen[:, :, longest:] = (which[:, :, None] == which[:, None, :]) & (places[:, :, None] >= places[:, None, :])
    hidden = model.decoder(
        inputs_embeds=batch.rows,
        position_ids=start + places,
        attention_mask=seen[:, None],
        past_key_values=cache,
        use_cache=True,
    ).last_hidden_state
    ends = [np.cumsum([len(rest) for rest in own], dtype=np.int64) - 1 for own in lines]
    return [_logits(model, hidden[row, torch.from_numpy(own).to(device)]) for row, own in enumerate(ends)]


def _joined(rests: list[Composed]) -> Composed:
    """Rests one after the other; a single unused token where there is none."""
    if not rests:
        return Composed(np.zeros(1, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros((0, 0), dtype=np.float32))
    starts = np.cumsum([0, *(len(own) for own in rests[:-1])])
    slots = np.concatenate([own.slots + start for own, start in zip(rests, starts, strict=True)])
    return Composed(np.concatenate([own.ids for own in rests]), slots, np.concatenate([own.vectors for own in rests]))


def _logits(model: ThinkModel, hidden: torch.Tensor) -> torch.Tensor:
    """[C, 3]: of Yes, of No, and the log of the sum of all."""
    logits, said = model.causal.get_output_embeddings()(hidden).float(), model.verdict_logits(hidden)
    logits[:, [model.verdicts.yes, model.verdicts.no]] = said
    return torch.cat([said, logits.logsumexp(1, keepdim=True)], dim=1)


def _said(found: torch.Tensor) -> Said:
    yes, no, total = found.cpu().numpy().T
    return Said(yes, no, yes - total, no - total)
