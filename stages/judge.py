"""Let an LLM judge rationales.   python -m stages.judge
Reads data/rankings, the items, the test records and replies of earlier runs; writes data/judge (verdicts, pairs, the
replies they rest on) and metrics/judge.json. Without `judge.methods` it asks nobody."""

import time
from functools import partial
from pathlib import Path

import polars as pl

from kitrec.core import files, params, tables
from kitrec.evaluation.params import Evaluation
from kitrec.llm_judge.judging import Judged, judge, judge_pairs
from kitrec.llm_judge.params import Judge
from kitrec.llm_judge.sampling import draw
from kitrec.llm_judge.summary import summarise
from kitrec.openai_client.client import answered
from kitrec.openai_client.replies import Replies
from kitrec.preprocessing.params import Data
from kitrec.schemas.items import ITEMS
from kitrec.schemas.rankings import RANKINGS
from kitrec.schemas.records import RECORDS
from kitrec.schemas.verdicts import PAIR_VERDICTS, VERDICTS
from stages.lib import paths, runner

FOLDER = Path("data/judge")


def main(quiet: runner.Quiet = runner.NOBODY_WATCHES) -> None:
    """Have rationales of the same users rated, and compared in pairs; kept replies are never asked for again."""
    which, seed = params.value(Data, "data.candidate_set"), params.load(int, "seed")
    resamples = params.value(Evaluation, "evaluation.resamples")
    p = params.load(Judge, "judge")
    tested = paths.set_records(which, "test")
    rankings = [paths.of_set(paths.rankings(name), which) for name in p.methods]
    reads = [paths.ITEMS, tested, *rankings]
    with runner.running("judge", None, reads=reads, params=[which, seed, resamples, p]) as run:
        replies = Replies(runner.WORK / "replies")  # which no `dvc checkout` empties: nothing is paid twice
        replies.take_in(FOLDER / "replies")
        single, pairs = (Judged(tables.from_rows([], table), {}) for table in (VERDICTS, PAIR_VERDICTS))
        metrics = {}
        if p.methods:
            before, began = len(replies), time.monotonic()
            items = {row["item_id"]: row for row in tables.read(paths.ITEMS, ITEMS).iter_rows(named=True)}
            ranked = pl.concat([tables.read(path, RANKINGS) for path in rankings])
            sample = draw(tables.read(tested, RECORDS), ranked, p.methods, per_type=p.per_type, seed=seed)
            answer = partial(answered, endpoint=p.endpoint, replies=replies, quiet=quiet)
            single = judge(sample, items, p, seed=seed, answer=answer)
            pairs = judge_pairs(sample, items, p, seed=seed, answer=answer)
            run.cost |= {"asked": len(replies) - before, "asking_seconds": round(time.monotonic() - began, 2)}
            metrics = summarise(sample, single, pairs, resamples=resamples, seed=seed)
        replies.hand_out(single.replies | pairs.replies, FOLDER / "replies")
        tables.write(single.table, FOLDER / "verdicts.parquet", VERDICTS)
        tables.write(pairs.table, FOLDER / "pairs.parquet", PAIR_VERDICTS)
        files.write_json(metrics, Path("metrics/judge.json"))


if __name__ == "__main__":
    runner.start(main)
