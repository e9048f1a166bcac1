"""Pre-training: the loss, and resuming from a checkpoint."""

import pytest
import torch
import torch.nn.functional as F

from kitrec.tinybase import pretrain as loop

OPENER = 300


def run(miniature, steps, work, seen, fail_at=None):
    model = miniature.model()

    def report(done):
        if done.step == fail_at:
            raise KeyboardInterrupt
        seen.append(done)

    loop.pretrain(model, miniature.lessons.lesson, steps, 1e-3, OPENER, work, report)
    return model


def test_the_loss_is_the_mean_cross_entropy_of_learned_tokens(miniature, tmp_path):
    seen = []
    run(miniature, 1, tmp_path, seen)
    lesson = miniature.lessons.lesson(1)
    with torch.no_grad():
        logits = miniature.model()(input_ids=lesson.ids).logits[:, :-1]
    labels = lesson.ids[:, 1:].masked_fill(~lesson.learned[:, 1:], -100)
    wanted = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=-100)
    assert seen[0].loss == pytest.approx(wanted.item(), rel=2e-2)  # trained in bf16


def test_a_killed_run_goes_on_from_its_checkpoint_to_the_same_weights(miniature, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "SAVE_EVERY", 2)
    whole, parts = [], []
    expected = run(miniature, 5, tmp_path / "whole", whole)
    with pytest.raises(KeyboardInterrupt):
        run(miniature, 5, tmp_path / "killed", parts, fail_at=4)
    resumed = run(miniature, 5, tmp_path / "killed", parts)
    assert [done.step for done in parts] == [1, 2, 3, 3, 4, 5]
    assert [done.loss for done in parts[3:]] == [done.loss for done in whole[2:]]
    for one, other in zip(expected.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, other)


def test_it_learns(miniature, tmp_path):
    model, lesson, losses = miniature.model(), miniature.lessons.lesson(1), []
    loop.pretrain(model, lambda _: lesson, 16, 2e-3, OPENER, tmp_path, lambda done: losses.append(done.loss))
    assert losses[-1] < losses[0] - 1.0
