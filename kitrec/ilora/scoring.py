"""How likely a teacher finds every candidate's name, and what it names when it writes freely.

    log p(c | prompt) = Σ_j log p(c_j | prompt, c_<j),      or its mean over j, by param
The sum is a probability: a name ends with its own end (the closing quote of an id, the end of the turn after a title),
so no name gains by being the beginning of another, and long titles pay for their length as they do in training. The
prompt is read once, the names form a tree behind its keys and values (kitrec/llm/likelihood/shared_prefix.py).
Every row of a batch is answered by its own gates."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from kitrec.ilora.dataset import Questions
from kitrec.ilora.teacher import Teacher
from kitrec.llm.generation.requests import ScoringRequest
from kitrec.llm.likelihood import shared_prefix

SPARE = 4  # tokens that free writing gets beyond the longest name


def likelihoods(teacher: Teacher, questions: Questions, *, per_token: bool) -> list[np.ndarray]:
    """Log likelihoods of each question's names, in the order of the questions."""
    found: list[np.ndarray] = [np.empty(0)] * len(questions.asked)
    teacher.train(False)
    for batch in batches([len(own.text) for own in questions.asked], shared_prefix.BATCH_TOKENS):
        asked = [questions.asked[k] for k in batch]
        with torch.inference_mode(), teacher.speaking(teacher.gates(questions.seen[batch])):
            # Longest first and within the room of one of its own batches: it keeps these rows together, in this order.
            values = shared_prefix.likelihoods(
                teacher.base, [ScoringRequest(own.text, own.names, None) for own in asked]
            )
        for k, own, value in zip(batch, asked, values, strict=True):
            found[k] = value / [len(name) for name in own.names] if per_token else value
    return found


def written(teacher: Teacher, questions: Questions, tokenizer: Any) -> list[str]:
    """What the teacher writes after each question, greedily, up to the longest of its names."""
    texts = [""] * len(questions.asked)
    teacher.train(False)
    for batch in batches([len(own.text) for own in questions.asked], shared_prefix.BATCH_TOKENS):
        asked = [questions.asked[k] for k in batch]
        padding = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
        rows, real = left_padded([own.text for own in asked], padding)
        longest = max(len(name) for own in asked for name in own.names)
        with torch.inference_mode(), teacher.speaking(teacher.gates(questions.seen[batch])):
            out = teacher.base.generate(
                input_ids=rows.to(teacher.device),
                attention_mask=real.to(teacher.device),
                max_new_tokens=longest + SPARE,
                do_sample=False,
                repetition_penalty=1.0,  # some bases bring one, and the right name stands in the prompt
                pad_token_id=padding,
            )
        for k, text in zip(
            batch, tokenizer.batch_decode(out[:, rows.shape[1] :], skip_special_tokens=True), strict=True
        ):
            texts[k] = text
    return texts


def batches(lengths: Sequence[int], room: int) -> list[list[int]]:
    """Rows of like length, the longest first, as many to a batch as `room` tokens allow."""
    found: list[list[int]] = []
    for k in sorted(range(len(lengths)), key=lambda k: lengths[k], reverse=True):
        if not found or (len(found[-1]) + 1) * lengths[found[-1][0]] > room:
            found.append([])
        found[-1].append(k)
    return found


def left_padded(rows: Sequence[Sequence[int]], pad_id: int) -> tuple[torch.Tensor, torch.Tensor]:
    """[B, T] ids, and which of them are real."""
    longest = max(map(len, rows))
    ids = torch.tensor([[pad_id] * (longest - len(row)) + list(row) for row in rows])
    real = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows])
    return ids, real


def without_words(questions: Questions, words: int) -> Questions:
    """The same questions as text alone."""
    asked = [replace(own, text=[k for k in own.text if k < words]) for own in questions.asked]
    return Questions(asked, questions.seen)
