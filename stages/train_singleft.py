"""Fine-tune a SingleFT adapter.   python -m stages.train_singleft movies-full
Reads data/records/set<candidate_set>/singleft-<target> and the pinned base; writes models/<variant>/singleft-<target>,
its curves in plots/training and its numbers in metrics/train."""

from kitrec.core import params
from kitrec.llm.finetuning.params import FineTune
from stages.lib import runner
from stages.lib.fine_tuning import train_adapter


def main(model: str, quiet: runner.Quiet = runner.NOBODY_WATCHES) -> None:
    """Train the adapter of MODEL (target-variant, e.g. movies-full) on 1-core users, always from the base."""
    train_adapter("singleft", model, params.load(FineTune, "singleft"), quiet=quiet)


if __name__ == "__main__":
    runner.start(main)
