"""Several processes on one CPU (gloo) learn the same as one process."""

import os
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from kitrec.core.errors import InputError
from kitrec.llm.base.loading import load_for_training
from kitrec.llm.finetuning.params import Launch
from kitrec.llm.finetuning.trainer import fine_tune
from kitrec.training.launching import launch_processes
from tests.llm.made_jobs import ONE_PROCESS, made_job, made_samples


def rank_and_sum(bonus: int) -> tuple[str, float]:
    torch.distributed.init_process_group("gloo")
    total = torch.tensor(float(os.environ["RANK"]) + bonus)
    torch.distributed.all_reduce(total)
    return os.environ["RANK"], total.item()


def fail_in_the_second(_: int) -> None:
    if os.environ["RANK"] == "1":
        raise InputError("the loss is nan at step 7, in records r3")


@pytest.mark.slow
def test_processes_find_each_other_and_the_first_returns_its_result():
    assert launch_processes(2, rank_and_sum, 10) == ("0", 21.0)


@pytest.mark.slow
def test_an_error_of_one_process_is_raised_in_the_caller():
    with pytest.raises(InputError, match=r"process 1 of 2 stopped: .*loss is nan at step 7, in records r3"):
        launch_processes(2, fail_in_the_second, 0)


@pytest.mark.slow
@pytest.mark.parametrize(("sharding", "weights"), [("none", "nf4"), ("fsdp", "bf16")])
def test_two_processes_have_the_losses_of_one(sharding, weights, base, p, tmp_path: Path):
    """The same effective batches, halved between processes; bf16 sums in another order, so not the same bits."""
    p = replace(p, batch_size=4, gradient_accumulation_steps=1, learning_rate=2e-4, early_stopping_patience=9)
    p = replace(p, lora_dropout=0.0, neftune_alpha=0.0)
    results = {}
    for processes in (1, 2):
        launch = replace(
            ONE_PROCESS, processes=processes, sharding=sharding if processes == 2 else "none", base_weights=weights
        )
        load = partial(load_for_training, base, weights, sharded=launch.sharded)
        job = made_job(load, tmp_path / str(processes), train=made_samples(12), development=made_samples(4, seed=1))
        results[processes] = fine_tune(job, replace(p, batch_size=4 // processes), launch)
    from_one, from_two = results[1], results[2]
    assert from_one.steps == from_two.steps == 6
    for key in ("loss", "eval_loss"):
        curves = [[entry[key] for entry in result.log if key in entry] for result in (from_one, from_two)]
        assert curves[1] == pytest.approx(curves[0], abs=0.02), key
    adapters = [load_file(result.checkpoint / "adapter_model.safetensors") for result in (from_one, from_two)]
    assert set(adapters[0]) == set(adapters[1])
    differences = [
        (adapters[1][name].float() - weight.float()).abs().max().item() for name, weight in adapters[0].items()
    ]
    assert max(differences) < 5e-3


def test_nf4_is_not_sharded_on_a_cpu(base):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU, where NF4 weights can be sharded")
    with pytest.raises(InputError, match="set base_weights to bf16"):
        load_for_training(base, "nf4", sharded=True)


def test_sharding_needs_processes():
    with pytest.raises(ValueError, match="raise processes"):
        Launch(processes=1, sharding="fsdp", base_weights="bf16", dataloader_num_workers=0, trackers=[])
