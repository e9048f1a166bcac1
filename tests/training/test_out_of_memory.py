"""Work that does not fit is done in smaller parts; other errors are raised."""

import pytest
import torch

from kitrec.core.errors import InputError
from kitrec.training.out_of_memory import run_in_memory, smaller_part


def made_work(limit: int, tried: list[int]):
    def run(size: int) -> str:
        tried.append(size)
        if size > limit:
            raise torch.OutOfMemoryError("CUDA out of memory (injected)")
        return f"done by {size}"

    return run


def test_parts_become_smaller_by_divisors_until_they_fit(capsys):
    tried: list[int] = []
    result, size = run_in_memory(made_work(3, tried), 12, lambda size: smaller_part(size, 12), "parts of {}".format)
    assert (result, size) == ("done by 3", 3)
    assert tried == [12, 6, 3]
    assert capsys.readouterr().err.splitlines() == ["out of memory: parts of 6", "out of memory: parts of 3"]


def test_less_than_one_sample_is_refused_with_the_way_out():
    with pytest.raises(InputError, match="one sample at a time: set gradient_checkpointing"):
        run_in_memory(made_work(0, []), 2, lambda size: smaller_part(size, 2), str)


def test_other_errors_are_raised_at_once():
    tried: list[int] = []

    def run(size: int) -> None:
        tried.append(size)
        raise RuntimeError("shape mismatch")

    with pytest.raises(RuntimeError, match="shape mismatch"):
        run_in_memory(run, 4, lambda size: size // 2, str)
    assert tried == [4]
