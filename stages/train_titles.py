"""Train a model that knows items by their titles alone.   python -m stages.train_titles METHOD
Reads params, models/base/base.json, data/items.parquet, data/interactions, data/records/set<candidate_set>; writes
data/titles/<method>, metrics/train/titles-<method>.json, plots/training/titles-<method>.csv."""

from pathlib import Path

import polars as pl

from kitrec.core import files, params, tables
from kitrec.core.domains import Domains
from kitrec.llm.base.loading import load_tokenizer
from kitrec.llm.base.pinning import FILE, read_pinned
from kitrec.preprocessing.params import Data
from kitrec.prompts.tokens import Encoder
from kitrec.schemas.interactions import SPLIT_INTERACTIONS
from kitrec.schemas.items import ITEMS
from kitrec.schemas.records import RECORDS, TEXT_COLUMNS
from kitrec.titles.catalogue import build_catalogue
from kitrec.titles.embedding_model import new_model
from kitrec.titles.embedding_ranking import questions
from kitrec.titles.embedding_training import SELECTION, TrainingData, train_embedding
from kitrec.titles.params import Embedding
from kitrec.titles.samples import user_sequences
from kitrec.titles.storage import save_embedding
from kitrec.training.progress import stages_bar
from stages.lib import paths, runner


def main(method: str, quiet: runner.Quiet = runner.NO_TERMINAL) -> None:
    """Train METHOD of titles.methods on the users the LLM learns from."""
    # 1. Params and inputs
    seed, domains = params.load(int, "seed"), params.load(Domains, "domains")
    which = params.value(Data, "data.candidate_set")
    p = params.load(Embedding, f"titles.methods.{method}")
    interactions = {role: paths.interactions(role) for role in ("train", "development")}
    records = [paths.model_records(which, model, "development") for model in domains.models]
    reads = [FILE, paths.ITEMS, *interactions.values(), *records]
    with runner.running("train_titles", method, reads=reads, params=[seed, domains, which, p]) as run:
        # 2. Titles as tokens, users as sequences, development records as questions
        base = read_pinned()
        items, encoder = tables.read(paths.ITEMS, ITEMS), Encoder(load_tokenizer(base))
        catalogue = build_catalogue(items, encoder, p.history.title_tokens, domains.source)
        train, development = (tables.read(path, SPLIT_INTERACTIONS) for path in interactions.values())
        asked_records = pl.concat([tables.read(path, RECORDS, leave_out=TEXT_COLUMNS) for path in records])
        asked = questions(asked_records, development, catalogue, p.history.items)
        data = TrainingData(user_sequences(train, catalogue), asked, seed, run.work)
        # 3. Training, resumed from the newest checkpoint; the best weights are stored
        model = new_model(p, base, catalogue, seed)
        longest = max(t.updates // t.validate_every for t in (p.heads_training, p.adapter_training))
        with stages_bar(longest, SELECTION.metric, quiet=quiet) as show:
            trained = train_embedding(model, p, data, show)
        save_embedding(model, p, base, trained.shares, trained.metrics, paths.title_model(method))
        # 4. The curve and the metrics
        curve = pl.DataFrame(trained.rows, infer_schema_length=None).with_columns(pl.selectors.float().round(6))
        with files.atomic(Path(f"plots/training/titles-{method}.csv")) as draft:
            curve.write_csv(draft)
        files.write_json(trained.metrics, Path(f"metrics/train/titles-{method}.json"))


if __name__ == "__main__":
    runner.start(main)
