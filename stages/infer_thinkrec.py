"""Let a trained ThinkRec answer the test candidates.   python -m stages.infer_thinkrec groups
Reads the pinned base, the items, data/thinkrec (records and stages), data/idrec/<eyes>, the test records and the test
readers' interactions; writes data/rankings/thinkrec-<stage>, metrics/thinkrec/<stage>.json (AUC and UAUC with 95 %
intervals, vectors that were missing, who answered) and plots/thinkrec/<stage>.csv (users by who answered)."""

from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from kitrec.core import files, params, tables
from kitrec.core.errors import InputError
from kitrec.core.shards import Clocked, in_shards, of_rows
from kitrec.evaluation.params import Evaluation
from kitrec.llm.base.loading import load_tokenizer
from kitrec.llm.base.pinning import FILE, read_pinned
from kitrec.preprocessing.params import Data
from kitrec.prompts.tokens import Encoder
from kitrec.schemas.items import ITEMS
from kitrec.schemas.rankings import RANKINGS
from kitrec.schemas.records import RECORDS
from kitrec.schemas.split_interactions import SEEN
from kitrec.thinkrec.collaborative_vectors import load_seeing
from kitrec.thinkrec.conversion import shown_titles
from kitrec.thinkrec.params import ThinkRec
from kitrec.thinkrec.test_rankings import Answering, known_of, liking, load_answering, routed
from kitrec.training.progress import count_bar
from stages.lib import paths, runner

FOLDER = Path("data/thinkrec")
SHARD = 32  # records that a killed run has to answer again; an engine has its own


def main(stage: str, quiet: runner.Quiet = runner.NOBODY_WATCHES) -> None:
    """Rank every test record's candidates by P(Yes) of what STAGE (text, projector, groups) left."""
    seed, sets = params.load(int, "seed"), params.value(Data, "data.test_sets")
    resamples = params.value(Evaluation, "evaluation.resamples")
    weights, prompt = params.value(ThinkRec, "thinkrec.base_weights"), params.value(ThinkRec, "thinkrec.prompt")
    objective, rule = params.value(ThinkRec, "thinkrec.objective"), params.value(ThinkRec, "thinkrec.routing")
    scoring = params.value(ThinkRec, "thinkrec.scoring")
    named = params.value(ThinkRec, "thinkrec.eyes")
    if not named:
        raise InputError("thinkrec is off: `kitrec profile use variants=thinkrec`, then `dvc repro infer_thinkrec`")
    (eyes,) = named
    seen, tests = paths.interactions("test"), {which: paths.set_records(which, "test") for which in sets}
    reads = [FILE, paths.ITEMS, FOLDER / "records", FOLDER / stage, Path("data/idrec") / eyes, seen, *tests.values()]
    asked = [seed, sets, resamples, weights, prompt, objective, rule, scoring, eyes]
    with runner.running("infer_thinkrec", stage, reads=reads, params=asked) as run:
        base, records = read_pinned(), {which: tables.read(path, RECORDS) for which, path in tests.items()}
        tokenizer, titles = load_tokenizer(base), shown_titles(tables.read(paths.ITEMS, ITEMS))
        trained = load_answering(scoring, base, weights, tokenizer, FOLDER, stage, seed)
        seeing, asked_of = load_seeing(Path("data/idrec") / eyes), pl.concat(records.values())
        known = known_of(seeing, asked_of, tables.read(seen, SEEN), FOLDER / "records", trained.groups)
        shard = scoring.engine.shard if scoring.kind == "vllm" else SHARD
        answering = Answering(trained, prompt, objective, rule, Encoder(tokenizer), known)
        ranked: dict[str, pl.DataFrame] = {}
        metrics: dict[str, Any] = {}
        with count_bar("answered", sum(own.height for own in records.values()), quiet=quiet) as advance:
            for which, own in records.items():
                made = Clocked(of_rows(own, partial(answering.rank, f"thinkrec-{stage}", titles)))
                table = in_shards(own.height, shard, run.work / which, RANKINGS, made, advance)
                ranked[f"set{which}"], run.cost[f"set{which}"] = table, made.told()
                metrics[f"set{which}"] = liking(table, own, resamples, seed).told() | answering.missing(own)
        tables.write_all(ranked, paths.rankings(f"thinkrec-{stage}"), RANKINGS)
        routing = answering.routing(own)  # of any set: all ask the same readers
        metrics |= {"routing": routing.statistics()} if trained.groups else {}
        files.write_json(metrics, Path(f"metrics/thinkrec/{stage}.json"))
        with files.whole(Path(f"plots/thinkrec/{stage}.csv")) as draft:
            routed(routing).write_csv(draft)


if __name__ == "__main__":
    runner.start(main)
