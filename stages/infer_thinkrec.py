"""Rank the test candidates with a trained stage of ThinkRec.   python -m stages.infer_thinkrec groups
Reads the pinned base, the items, data/thinkrec (records and stages), data/idrec/<encoder>, the test records and the
interactions of the test users; writes data/rankings/thinkrec-<stage> and data/routing/thinkrec-<stage> (for every test
record, the adapters that answered and the vectors that were missing)."""

from functools import partial

import polars as pl

from kitrec.core import params, tables
from kitrec.core.errors import InputError
from kitrec.core.shards import TimedShards, by_slice, compute_in_shards
from kitrec.llm.base.loading import load_tokenizer
from kitrec.llm.base.pinning import FILE, read_pinned
from kitrec.preprocessing.params import Data
from kitrec.prompts.tokens import Encoder
from kitrec.schemas.interactions import SPLIT_INTERACTIONS
from kitrec.schemas.items import ITEMS
from kitrec.schemas.rankings import RANKINGS
from kitrec.schemas.records import RECORDS, TEXT_COLUMNS
from kitrec.schemas.routing import ROUTING
from kitrec.thinkrec.collaborative_vectors import load_collaborative_encoder
from kitrec.thinkrec.conversion import shown_titles
from kitrec.thinkrec.inference import StageRanker, load_context, load_stage
from kitrec.thinkrec.params import ThinkRec
from kitrec.training.device import use_device
from kitrec.training.params import Trainer
from kitrec.training.progress import count_bar
from stages.lib import paths, runner

FOLDER = paths.THINKREC
SHARD = 32  # records that a killed run has to score again; an engine has its own


def main(stage: str, quiet: runner.Quiet = runner.NO_TERMINAL) -> None:
    """Rank the candidates of every test record by P(Yes), with the model of STAGE (text, projector, groups)."""
    # 1. Params and inputs
    seed, sets = params.load(int, "seed"), params.value(Data, "data.test_sets")
    weights, prompt = params.value(ThinkRec, "thinkrec.base_weights"), params.value(ThinkRec, "thinkrec.prompt")
    objective, rule = params.value(ThinkRec, "thinkrec.objective"), params.value(ThinkRec, "thinkrec.routing")
    scoring = params.value(ThinkRec, "thinkrec.scoring")
    encoders = params.value(ThinkRec, "thinkrec.encoders")
    if not encoders:
        raise InputError("thinkrec is off: `kitrec profile use variants=thinkrec`, then `dvc repro evaluate_thinkrec`")
    (encoder_name,) = encoders
    encoder_folder, interactions = paths.recommender(encoder_name), paths.interactions("test")
    tests = {which: paths.set_records(which, "test") for which in sets}
    reads = [FILE, paths.ITEMS, FOLDER / "records", FOLDER / stage, encoder_folder, interactions, *tests.values()]
    stage_params = [seed, sets, weights, prompt, objective, rule, scoring, encoder_name]
    with runner.running("infer_thinkrec", stage, reads=reads, params=stage_params) as run:
        # 2. The model of the stage, and the histories and vectors of the test users
        base, device = read_pinned(), use_device(params.value(Trainer, "trainer.device"))
        records = {which: tables.read(path, RECORDS, leave_out=TEXT_COLUMNS) for which, path in tests.items()}
        tokenizer, titles = load_tokenizer(base), shown_titles(tables.read(paths.ITEMS, ITEMS))
        model = load_stage(scoring, base, weights, tokenizer, FOLDER, stage, seed)
        encoder, test_records = load_collaborative_encoder(encoder_folder, device), pl.concat(records.values())
        context = load_context(
            encoder, test_records, tables.read(interactions, SPLIT_INTERACTIONS), FOLDER / "records", model.groups
        )
        # 3. Every candidate is scored by P(Yes), in shards that a killed run keeps
        shard = scoring.engine.shard_size if scoring.kind == "vllm" else SHARD
        ranker = StageRanker(model, prompt, objective, rule, Encoder(tokenizer), context)
        rankings: dict[str, pl.DataFrame] = {}
        with count_bar("ranked", test_records.height, quiet=quiet) as advance:
            for which, rows in records.items():
                rank = TimedShards(by_slice(rows, partial(ranker.rank, f"thinkrec-{stage}", titles)))
                rankings[f"set{which}"] = compute_in_shards(
                    rows.height, shard, run.work / which, RANKINGS, rank, advance
                )
                run.cost[f"set{which}"] = rank.cost()
        # 4. The rankings, and the adapters that answered each record
        routing = {f"set{which}": ranker.routing(rows) for which, rows in records.items()}
        tables.write_all(rankings, paths.rankings(f"thinkrec-{stage}"), RANKINGS)
        tables.write_all(routing, paths.routing(f"thinkrec-{stage}"), ROUTING)


if __name__ == "__main__":
    runner.start(main)
