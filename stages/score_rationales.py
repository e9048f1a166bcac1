"""Score a method's rationales by their likelihood.   python -m stages.score_rationales kitrec_full
Reads data/answers/<method>, the test records, the base and models/<variant>; writes data/rationales/<method>."""

import polars as pl

from kitrec.llm.likelihood.rationales import score_rationales
from kitrec.schemas.likelihoods import RATIONALES
from stages.lib import paths, runner
from stages.lib.scoring import AnsweredSet, score_sets


def main(method: str, quiet: runner.Quiet = runner.NO_TERMINAL) -> None:
    """Score the rationales of METHOD (a key of infer.methods) by the model that wrote them, and by the base."""
    score_sets("score_rationales", method, rationales, paths.rationales(method), RATIONALES, quiet=quiet)


def rationales(test: AnsweredSet) -> pl.DataFrame:
    """Return the likelihoods of a test set's rationales."""
    return score_rationales(
        test.answers,
        test.requests,
        test.encoder,
        test.score,
        thinking=test.method.thinking,
        shard_size=test.shard_size,
        work=test.work,
        on_shard=test.advance,
    )


if __name__ == "__main__":
    runner.start(main)
