"""Out of memory, training steps down a ladder; the effective batch, the order of samples and the schedule stay."""

from dataclasses import replace

import torch

from kitrec.core.errors import InputError
from kitrec.llm.finetuning.params import FineTune


def means_out_of_memory(problem: BaseException) -> bool:
    """Whether an error says so, in the words of CUDA, of torch's CPU allocator, or of Python."""
    if isinstance(problem, torch.OutOfMemoryError | MemoryError):
        return True
    return "can't allocate memory" in str(problem) or "out of memory" in str(problem).lower()


def stepped_down(p: FineTune) -> FineTune:
    """The next smaller micro-batch that divides this one, with the same effective batch; then that of evaluation."""
    if p.batch > 1:
        smaller = next(size for size in range(p.batch // 2, 0, -1) if p.batch % size == 0)
        return replace(p, batch=smaller, accumulation=p.accumulation * p.batch // smaller)
    if p.eval_batch > 1:
        return replace(p, eval_batch=p.eval_batch // 2)
    raise InputError("out of memory with one sample at a time: lower prompt.max_length, or use a larger device")
