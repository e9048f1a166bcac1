"""Only complete checkpoints are resumed; a lack of memory is recognised and leads to smaller micro-batches."""

from dataclasses import replace

import pytest
import torch

from kitrec.core.errors import InputError
from kitrec.llm.finetuning.recovery import mark_complete, newest_checkpoint, smaller_micro_batch
from kitrec.training.out_of_memory import means_out_of_memory


def test_only_complete_checkpoints_are_resumed_and_damaged_ones_are_reported(tmp_path, capsys):
    for step, complete in ((2, True), (10, True), (12, True), (14, False)):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        (folder / "weights").write_bytes(b"all of them")
        if complete:
            mark_complete(folder)
    assert newest_checkpoint(tmp_path) == str(tmp_path / "checkpoint-12")
    (tmp_path / "checkpoint-12" / "weights").write_bytes(b"all of")
    assert newest_checkpoint(tmp_path) == str(tmp_path / "checkpoint-10")
    assert "checkpoint-12 is damaged" in capsys.readouterr().err
    (tmp_path / "checkpoint-10" / "weights").unlink()
    assert newest_checkpoint(tmp_path) == str(tmp_path / "checkpoint-2")
    assert newest_checkpoint(tmp_path / "none") is None


def test_a_micro_batch_shrinks_by_divisors_down_to_one_sample(p):
    lowest = replace(p, batch_size=1, gradient_accumulation_steps=8, eval_batch_size=1)
    with pytest.raises(InputError, match="one sample at a time"):
        smaller_micro_batch(lowest)
    assert smaller_micro_batch(replace(lowest, eval_batch_size=8)).eval_batch_size == 4
    assert smaller_micro_batch(replace(p, batch_size=9, gradient_accumulation_steps=2)).batch_size == 3


@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate"), True),
        (MemoryError(), True),
        (RuntimeError("shape mismatch"), False),
    ],
)
def test_which_errors_mean_out_of_memory(problem, expected):
    assert means_out_of_memory(problem) is expected
