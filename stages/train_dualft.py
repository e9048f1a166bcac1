"""Fine-tune a DualFT adapter.   python -m stages.train_dualft movies-full
Reads data/records/set<candidate_set>/dualft-<target> and the pinned base; writes models/<variant>/dualft-<target>, its
curves in plots/training and its numbers in metrics/train."""

from kitrec.core import params
from kitrec.llm.finetuning.params import FineTune
from stages.lib import runner
from stages.lib.fine_tuning import train_adapter


def main(model: str, quiet: runner.Quiet = runner.NOBODY_WATCHES) -> None:
    """Train the adapter of MODEL (target-variant, e.g. movies-full) on users with at least two target interactions."""
    train_adapter("dualft", model, params.load(FineTune, "dualft"), quiet=quiet)


if __name__ == "__main__":
    runner.start(main)
