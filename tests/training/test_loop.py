"""The training loop on a linear regression: best weights, patience, checkpoints, resuming."""

import math

import pytest
import torch
from torch import nn

from kitrec.core.errors import InputError
from kitrec.training.loop import fit
from kitrec.training.progress import latest_metrics
from kitrec.training.selection import LoopConfig, Selection
from kitrec.training.state import Progress, TrainingState

ERROR = Selection("error", greater_is_better=False)


def made_state(rate: float = 0.1) -> TrainingState[nn.Linear]:
    torch.manual_seed(0)
    model = nn.Linear(2, 1)
    return TrainingState(model, torch.optim.AdamW(model.parameters(), lr=rate))


def run(work, *, state=None, errors=None, epochs=4, stop=None, **changed):
    """Random inputs of each epoch come from its number; `errors` replaces the validation metric."""
    state = state or made_state()
    values = None if errors is None else iter(errors)

    def step(epoch):
        torch.manual_seed(epoch)
        inputs = torch.randn(8, 2)
        loss = (state.model(inputs).squeeze(1) - inputs.sum(1)).square().mean()
        state.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        state.optimizer.step()
        return {"epoch": epoch + 1, "loss": loss.item()}

    def validate():
        with torch.no_grad():
            return {"error": (state.model.weight - 1).abs().sum().item() if values is None else next(values)}

    def on_epoch_end(progress):
        if progress.epoch == stop:
            raise KeyboardInterrupt

    start = changed.pop("validate_start", False)
    config = LoopConfig(epochs, ERROR, **changed)
    return fit(step, validate, config, state, work, on_epoch_end, validate_start=start)


def test_an_interrupted_training_ends_with_the_same_bytes(tmp_path):
    whole = run(tmp_path / "whole")
    for stop in (1, 3):
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "broken", stop=stop)
    resumed = run(tmp_path / "broken")
    assert resumed.progress == whole.progress
    assert all(torch.equal(tensor, resumed.last[name]) for name, tensor in whole.last.items())
    assert torch.equal(whole.model.weight, resumed.model.weight)
    (kept,) = (tmp_path / "broken").iterdir()
    assert kept.name == f"last-000004-error-{whole.progress.rows[-1]['error']:.4f}.safetensors"


def test_the_weights_of_the_best_epoch_are_restored():
    result = run(None, errors=[3.0, 1.0, 2.0, 2.5])
    assert (result.progress.best, result.progress.best_epoch) == (-1.0, 2)
    assert torch.equal(result.model.weight, run(None, errors=[3.0, 1.0], epochs=2).last["weight"])
    assert result.metrics() == {**result.progress.rows[1], "epochs": 4}


def test_patience_ends_a_training_and_unvalidated_epochs_do_not_count():
    assert run(None, errors=[3.0, 1.0, 2.0, 2.5, 2.0], epochs=9, patience=2).progress.epoch == 4
    skipped = run(None, errors=[3.0, 4.0, 5.0], epochs=9, patience=2, validate_every=2).progress
    assert skipped.epoch == 6 and ["error" in row for row in skipped.rows] == [False, True] * 3


def test_the_initial_weights_compete_if_they_are_validated():
    state = made_state()
    before = state.model.weight.detach().clone()
    assert not torch.equal(run(None, state=made_state(), errors=[2.0, 1.0], epochs=1).model.weight, before)
    result = run(None, state=state, errors=[0.5, 1.0, 2.0], epochs=2, validate_start=True)
    assert result.progress.best_epoch == 0 and torch.equal(result.model.weight, before)


def test_a_loss_or_metric_that_is_not_finite_stops_the_training_with_a_way_out():
    with pytest.raises(InputError, match=r"epoch 2: .*error nan are not finite; take a smaller learning_rate"):
        run(None, errors=[1.0, math.nan])


@pytest.mark.parametrize("content", [b"nothing", None])
def test_a_damaged_or_foreign_checkpoint_is_refused(tmp_path, content):
    if content is None:
        model = nn.Linear(3, 1)
        run_other = TrainingState(model, torch.optim.AdamW(model.parameters()))
        fit(
            lambda epoch: {"epoch": epoch + 1, "loss": 1.0},
            None,
            LoopConfig(1, ERROR),
            run_other,
            tmp_path,
            lambda _: None,
        )
    else:
        (tmp_path / "last-000001-error-1.0000.safetensors").write_bytes(content)
    with pytest.raises(InputError, match=r"belongs to another training, or is damaged .*: remove it"):
        run(tmp_path)


def test_the_progress_bar_shows_the_latest_and_the_best_metrics():
    progress = Progress(epoch=3, best=-0.25, best_epoch=2, rows=[{"epoch": 3, "loss": 2.0, "error": 0.5}])
    assert latest_metrics(progress, "error") == "epoch 3: loss 2.0000, error 0.5000, best 0.2500"
