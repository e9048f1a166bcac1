"""Log-likelihoods of the candidates' names under a teacher, and greedy generation.

    log p(c | prompt) = Σ_j log p(c_j | prompt, c_<j),      or its mean over j, by param
The sum is a probability: a name ends with its own terminator (the closing quote of an id, the end of the turn after a
title), so no name gains by being a prefix of another, and long titles pay for their length as they do in training. The
prompt is encoded once, the names form a tree behind its keys and values (kitrec/llm/likelihood/shared_prefix.py).
Every row of a batch is answered under its own gates."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from kitrec.ilora.dataset import CandidateScoringDataset
from kitrec.ilora.teacher import Teacher
from kitrec.llm.base.layers import ends_of_generation
from kitrec.llm.likelihood import shared_prefix
from kitrec.llm.likelihood.trie import ScoringRequest

EXTRA_TOKENS = 4  # that generation may use beyond the longest name


def log_likelihoods(teacher: Teacher, dataset: CandidateScoringDataset, *, per_token: bool) -> list[np.ndarray]:
    """Return the log-likelihoods of each prompt's candidates, in the order of the prompts."""
    scores: list[np.ndarray] = [np.empty(0)] * len(dataset.prompts)
    teacher.train(False)
    for batch in shared_prefix.batches([len(prompt.tokens) for prompt in dataset.prompts], shared_prefix.BATCH_TOKENS):
        prompts = [dataset.prompts[k] for k in batch]
        requests = [ScoringRequest(prompt.tokens, prompt.candidates, None) for prompt in prompts]
        with torch.inference_mode(), teacher.use_gates(teacher.gates(dataset.user_embeddings[batch])):
            # Longest first and within one of its own batches' budget: it keeps these rows together, in this order.
            values = shared_prefix.likelihoods(teacher.base, requests)
        for k, prompt, value in zip(batch, prompts, values, strict=True):
            scores[k] = value / [len(name) for name in prompt.candidates] if per_token else value
    return scores


def generate(teacher: Teacher, dataset: CandidateScoringDataset, tokenizer: Any) -> list[str]:
    """Generate an answer to every prompt greedily, up to the length of its batch's longest name."""
    texts = [""] * len(dataset.prompts)
    teacher.train(False)
    for batch in shared_prefix.batches([len(prompt.tokens) for prompt in dataset.prompts], shared_prefix.BATCH_TOKENS):
        prompts = [dataset.prompts[k] for k in batch]
        pad_id = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
        ids, mask = pad_left([prompt.tokens for prompt in prompts], pad_id)
        longest = max(len(name) for prompt in prompts for name in prompt.candidates)
        with torch.inference_mode(), teacher.use_gates(teacher.gates(dataset.user_embeddings[batch])):
            out = teacher.base.generate(
                input_ids=ids.to(teacher.device),
                attention_mask=mask.to(teacher.device),
                max_new_tokens=longest + EXTRA_TOKENS,
                do_sample=False,
                repetition_penalty=1.0,  # some bases set one, but the correct name is part of the prompt
                pad_token_id=pad_id,
                eos_token_id=ends_of_generation(teacher.base, tokenizer),
            )
        for k, text in zip(
            batch, tokenizer.batch_decode(out[:, ids.shape[1] :], skip_special_tokens=True), strict=True
        ):
            texts[k] = text
    return texts


def pad_left(rows: Sequence[Sequence[int]], pad_id: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ids [B, T] padded on the left, and their attention mask."""
    longest = max(map(len, rows))
    ids = torch.tensor([[pad_id] * (longest - len(row)) + list(row) for row in rows])
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows])
    return ids, mask


def without_item_tokens(dataset: CandidateScoringDataset, vocab_size: int) -> CandidateScoringDataset:
    """Return the same prompts as text alone."""
    prompts = [
        replace(prompt, tokens=[token for token in prompt.tokens if token < vocab_size]) for prompt in dataset.prompts
    ]
    return CandidateScoringDataset(prompts, dataset.user_embeddings)
