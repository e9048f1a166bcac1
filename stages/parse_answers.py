"""Parse a method's answers into rankings.   python -m stages.parse_answers kitrec_full
Reads data/items.parquet, test records, the method's data/answers and data/likelihoods; writes data/rankings/<method>
and metrics/answers/<method>.json."""

import sys
from functools import partial
from pathlib import Path

import polars as pl

from kitrec.core import files, params, tables
from kitrec.evaluation.answer_means import answer_means
from kitrec.evaluation.bootstrap import Resampling
from kitrec.evaluation.params import Evaluation
from kitrec.evaluation.strata import all_and_by_stratum, with_strata
from kitrec.parsing.history_mentions import history_mentions
from kitrec.parsing.length_warnings import length_warnings
from kitrec.parsing.rankings import answer_statistics, rank_answers, rank_likelihoods
from kitrec.preprocessing.params import Data
from kitrec.schemas.answers import ANSWERS
from kitrec.schemas.items import ITEMS
from kitrec.schemas.likelihoods import LIKELIHOODS
from kitrec.schemas.rankings import RANKINGS
from kitrec.schemas.records import RECORDS, TEXT_COLUMNS
from stages.lib import paths, runner
from stages.lib.methods import load_method


def main(method: str) -> None:
    """Turn answers and likelihoods of METHOD into rankings, count failures, and average what answers hold."""
    # 1. Params and inputs
    sets, p = params.value(Data, "data.test_sets"), load_method(method)
    resampling = Resampling(params.value(Evaluation, "evaluation.resamples"), params.load(int, "seed"))
    folders = (paths.answers(method), paths.likelihoods(method))
    inputs = {w: (*(paths.of_set(folder, w) for folder in folders), paths.set_records(w, "test")) for w in sets}
    reads = [paths.ITEMS, *(path for group in inputs.values() for path in group)]
    with runner.running("parse_answers", method, reads=reads, params=[sets, p, resampling]):
        # 2. Written rankings from the texts, scored ones from the likelihoods
        items = tables.read(paths.ITEMS, ITEMS)
        rankings, statistics = {}, {}
        for which, (answered, scored, tested) in inputs.items():
            answers, records = tables.read(answered, ANSWERS), tables.read(tested, RECORDS, leave_out=TEXT_COLUMNS[1:])
            written = rank_answers(answers, records, answer_items=p.answer_items)
            likely = rank_likelihoods(tables.read(scored, LIKELIHOODS), records)
            rankings[f"set{which}"] = pl.concat([written, likely])
            # 3. Failures and limits, and the length and the references of the reasoning by stratum
            warnings = length_warnings(answers, p.max_new_tokens, p.thinking_budget)
            for warning in warnings:
                print(f"WARNING: {method}, set {which}: {warning}", file=sys.stderr)
            mentions = history_mentions(answers, written, records, items)
            held = with_strata(written.join(mentions, on="record_id", maintain_order="left"), records)
            measure = partial(answer_means, columns=("thinking_characters", "history_mentions"), resampling=resampling)
            statistics[f"set{which}"] = {
                **answer_statistics(written, answers, answer_items=p.answer_items),
                "warnings": warnings,
                **all_and_by_stratum(held, measure),
            }
        # 4. One table per test set
        tables.write_all(rankings, paths.rankings(method), RANKINGS)
        files.write_json(statistics, Path(f"metrics/answers/{method}.json"))


if __name__ == "__main__":
    runner.start(main)
