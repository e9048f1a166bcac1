"""How likely a method's rationales are.   python -m stages.score_rationales kitrec_full
Reads data/answers/<method>, the test records, the base and models/<variant>; writes data/rationales/<method> and
metrics/rationales/<method>.json."""

from pathlib import Path

import polars as pl

from kitrec.core import files
from kitrec.evaluation.perplexity import perplexities
from kitrec.llm.likelihood.rationales import score_rationales
from kitrec.schemas.rationales import RATIONALES
from stages.lib import runner
from stages.lib.scoring import Answered, score_sets


def main(method: str) -> None:
    """Score the rationales of METHOD (a key of infer.methods) by the model that wrote them, and by the base."""
    scored = score_sets("score_rationales", method, rationales, Path("data/rationales") / method, RATIONALES)
    summed = {which: perplexities(table) for which, table in scored.items()}
    files.write_json(summed, Path(f"metrics/rationales/{method}.json"))


def rationales(a: Answered) -> pl.DataFrame:
    """The likelihoods of a test set's rationales."""
    thinking = a.method.thinking
    return score_rationales(
        a.answers, a.requests, a.encoder, a.scorer.score, thinking=thinking, shard=a.shard, work=a.work
    )


if __name__ == "__main__":
    runner.start(main)
