"""Judge rationales by an LLM.   python -m stages.judge
Reads data/rankings, the items, the test records and replies of earlier runs; writes data/judge (verdicts, pairs and
their replies) and metrics/judge.json. Without `judge.methods` no request is sent."""

import time
from functools import partial
from pathlib import Path

import polars as pl

from kitrec.core import files, params, tables
from kitrec.core.domains import Domains
from kitrec.evaluation.params import Evaluation
from kitrec.llm_judge.judging import Verdicts, judge_pairs, judge_rationales
from kitrec.llm_judge.params import Judge
from kitrec.llm_judge.sampling import draw_sample
from kitrec.llm_judge.summary import summarise
from kitrec.openai_client.client import complete
from kitrec.openai_client.replies import ReplyCache
from kitrec.preprocessing.params import Data
from kitrec.schemas.items import ITEMS
from kitrec.schemas.rankings import RANKINGS
from kitrec.schemas.records import RECORDS
from kitrec.schemas.verdicts import PAIR_VERDICTS, VERDICTS
from stages.lib import paths, runner

FOLDER = Path("data/judge")


def main(quiet: runner.Quiet = runner.NO_TERMINAL) -> None:
    """Rate rationales of the same users, and compare them in pairs; cached requests are never sent again."""
    # 1. Params and inputs
    which, seed = params.value(Data, "data.candidate_set"), params.load(int, "seed")
    resamples = params.value(Evaluation, "evaluation.resamples")
    domains, p = params.load(Domains, "domains"), params.load(Judge, "judge")
    tested = paths.set_records(which, "test")
    rankings = [paths.of_set(paths.rankings(name), which) for name in p.methods]
    reads = [paths.ITEMS, tested, *rankings]
    with runner.running("judge", None, reads=reads, params=[which, seed, domains, resamples, p]) as run:
        # 2. Replies of earlier runs
        cache = ReplyCache(runner.WORK / "replies")  # `dvc checkout` does not empty it: no reply is paid for twice
        cache.import_from(FOLDER / "replies")
        # 3. Verdicts on single rationales and on pairs
        single, pairs = (Verdicts(tables.from_rows([], table), {}) for table in (VERDICTS, PAIR_VERDICTS))
        metrics = {}
        if p.methods:
            cached, start = len(cache), time.monotonic()
            items = {row["item_id"]: row for row in tables.read(paths.ITEMS, ITEMS).iter_rows(named=True)}
            ranked = pl.concat([tables.read(path, RANKINGS) for path in rankings])
            records, per_type = tables.read(tested, RECORDS), p.records_per_type
            sample = draw_sample(records, ranked, p.methods, per_type=per_type, seed=seed, domains=domains)
            send = partial(complete, endpoint=p.endpoint, cache=cache, quiet=quiet)
            single = judge_rationales(sample, items, p, seed=seed, complete=send, domains=domains)
            pairs = judge_pairs(sample, items, p, seed=seed, complete=send, domains=domains)
            run.cost |= {"requests": len(cache) - cached, "request_seconds": round(time.monotonic() - start, 2)}
            metrics = summarise(sample, single, pairs, resamples=resamples, seed=seed)
        # 4. Verdicts with the replies behind them, and their summary
        cache.export(single.replies | pairs.replies, FOLDER / "replies")
        tables.write(single.table, FOLDER / "verdicts.parquet", VERDICTS)
        tables.write(pairs.table, FOLDER / "pairs.parquet", PAIR_VERDICTS)
        files.write_json(metrics, Path("metrics/judge.json"))


if __name__ == "__main__":
    runner.start(main)
