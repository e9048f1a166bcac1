"""When a training has had enough: patience counts judgements without a better one, once anything was right."""

from kitrec.recommenders.sequence_training import Progress, settle


def judged(*values: float) -> Progress:
    progress = Progress()
    for value in values:
        progress.epoch += 1
        progress.rows.append({"epoch": progress.epoch, "loss": 1.0})
        settle(progress, {"ndcg@10": value})
    return progress


def test_patience_begins_with_the_first_that_was_right():
    assert judged(0.0, 0.0, 0.0).stale == 0
    progress = judged(0.0, 0.0, 0.1, 0.1, 0.05)
    assert (progress.best, progress.best_epoch, progress.stale) == (0.1, 3, 2)
    assert judged(0.1, 0.0, 0.2).stale == 0
