"""Early stopping: patience counts validations without improvement."""

from kitrec.training.selection import Selection, record_validation
from kitrec.training.state import Progress

NDCG = Selection("ndcg@10")


def validated(*values: float) -> Progress:
    progress = Progress()
    for value in values:
        progress.epoch += 1
        progress.rows.append({"epoch": progress.epoch, "loss": 1.0})
        record_validation(progress, NDCG, {"ndcg@10": value})
    return progress


def test_patience_counts_validations_since_the_best():
    assert validated(0.0, 0.0, 0.0).epochs_without_improvement == 2
    progress = validated(0.0, 0.0, 0.1, 0.1, 0.05)
    assert (progress.best, progress.best_epoch, progress.epochs_without_improvement) == (0.1, 3, 2)
    assert validated(0.1, 0.0, 0.2).epochs_without_improvement == 0
