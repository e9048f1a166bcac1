"""The training loop: correct loss, exact resumption."""

import pytest
import torch
import torch.nn.functional as F

from kitrec.tinybase import pretrain as loop

OPENER = 300


def run(miniature, steps, work, metrics, fail_at=None):
    model = miniature.model()

    def report(step_metrics):
        if step_metrics.step == fail_at:
            raise KeyboardInterrupt
        metrics.append(step_metrics)

    loop.pretrain(model, miniature.curriculum.batch, steps, 1e-3, OPENER, work, report)
    return model


def test_the_loss_is_the_mean_cross_entropy_of_masked_tokens(miniature, tmp_path):
    metrics = []
    run(miniature, 1, tmp_path, metrics)
    batch = miniature.curriculum.batch(1)
    with torch.no_grad():
        logits = miniature.model()(input_ids=batch.input_ids).logits[:, :-1]
    labels = batch.input_ids[:, 1:].masked_fill(~batch.loss_mask[:, 1:], -100)
    expected_loss = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=-100)
    assert metrics[0].loss == pytest.approx(expected_loss.item(), rel=2e-2)  # trained in bf16


def test_a_killed_run_resumes_from_its_checkpoint_to_the_same_weights(miniature, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "SAVE_EVERY", 2)
    whole, parts = [], []
    expected = run(miniature, 5, tmp_path / "whole", whole)
    with pytest.raises(KeyboardInterrupt):
        run(miniature, 5, tmp_path / "killed", parts, fail_at=4)
    resumed = run(miniature, 5, tmp_path / "killed", parts)
    assert [step_metrics.step for step_metrics in parts] == [1, 2, 3, 3, 4, 5]
    assert [step_metrics.loss for step_metrics in parts[3:]] == [step_metrics.loss for step_metrics in whole[2:]]
    for first, second in zip(expected.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(first, second)


def test_the_loss_decreases(miniature, tmp_path):
    model, batch, losses = miniature.model(), miniature.curriculum.batch(1), []
    loop.pretrain(
        model, lambda _: batch, 16, 2e-3, OPENER, tmp_path, lambda step_metrics: losses.append(step_metrics.loss)
    )
    assert losses[-1] < losses[0] - 1.0
