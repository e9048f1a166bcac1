"""Let a method's model score every candidate.   python -m stages.score_candidates kitrec_full
Reads data/answers/<method> (scored after what was thought), the base and models/<variant>; writes data/likelihoods."""

import polars as pl

from kitrec.llm.likelihood.candidates import score_all
from kitrec.prompts.answer_head import AnswerHead
from kitrec.schemas.likelihoods import LIKELIHOODS
from stages.lib import paths, runner
from stages.lib.scoring import Answered, score_sets


def main(method: str) -> None:
    """Score the candidates of all test records by METHOD (a key of infer.methods), where its answers name an item."""
    score_sets("score_candidates", method, candidates, paths.likelihoods(method), LIKELIHOODS)


def candidates(a: Answered) -> pl.DataFrame:
    """The likelihoods of a test set's candidates."""
    head = AnswerHead(a.encoder, a.style)
    return score_all(a.answers, a.records, a.requests, head, a.scorer.score, shard=a.shard, work=a.work)


if __name__ == "__main__":
    runner.start(main)
