"""Score every candidate by a method's model.   python -m stages.score_candidates kitrec_full
Reads data/answers/<method> (scored after the thought), the base and models/<variant>; writes data/likelihoods."""

import polars as pl

from kitrec.llm.likelihood.candidates import score_candidates
from kitrec.prompts.answer_head import AnswerHead
from kitrec.schemas.likelihoods import LIKELIHOODS
from stages.lib import paths, runner
from stages.lib.scoring import AnsweredSet, score_sets


def main(method: str, quiet: runner.Quiet = runner.NO_TERMINAL) -> None:
    """Score the candidates of all test records by METHOD (a key of infer.methods), where its answers name an item."""
    score_sets("score_candidates", method, candidates, paths.likelihoods(method), LIKELIHOODS, quiet=quiet)


def candidates(test: AnsweredSet) -> pl.DataFrame:
    """Return the likelihoods of a test set's candidates."""
    head = AnswerHead(test.encoder, test.style, test.answer_forms)
    return score_candidates(
        test.answers,
        test.records,
        test.requests,
        head,
        test.score,
        shard_size=test.shard_size,
        work=test.work,
        on_shard=test.advance,
    )


if __name__ == "__main__":
    runner.start(main)
