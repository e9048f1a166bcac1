"""The story `train_dualft` and `train_singleft` share: records -> samples -> adapter, curves and metrics."""

import time
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from kitrec import files, params, tables
from kitrec.contracts.items import ITEMS
from kitrec.contracts.records import RECORDS
from kitrec.llm.adapters import save_adapter
from kitrec.llm.base_model import load_quantised, load_tokenizer
from kitrec.llm.params import FineTune
from kitrec.llm.pinned_base import FILE, read_pinned
from kitrec.llm.samples import training_samples
from kitrec.llm.training import Trained, fine_tune
from kitrec.prep.params import Data
from kitrec.prompts.params import Prompt
from kitrec.prompts.tokens import Encoder
from stages import entry, paths


def train_adapter(family: str, target_variant: str, p: FineTune, *, quiet: bool) -> None:
    """Fine-tune one adapter of a family (`dualft`, `singleft`) on its own training records."""
    seed = params.load(int, "seed")
    which = params.value(Data, "data.candidate_set")
    prompt = params.load(Prompt, "prompt")
    target, variant = target_variant.split("-")
    sources = {role: paths.model_records(which, f"{family}-{target}", role) for role in ("train", "development")}
    reads = [FILE, paths.ITEMS, *sources.values()]
    with entry.running(f"train_{family}", target_variant, reads=reads, params=[seed, which, prompt, p]) as run:
        base = read_pinned()
        tokenizer = load_tokenizer(base)
        encoder = Encoder(tokenizer)
        items = {row["item_id"]: row for row in tables.read(paths.ITEMS, ITEMS).iter_rows(named=True)}
        train, development = (
            training_samples(tables.read(path, RECORDS), items, encoder, prompt, thinking=variant == "full", seed=seed)
            for path in sources.values()
        )
        began = time.monotonic()
        trained = fine_tune(
            partial(load_quantised, base),
            tokenizer.pad_token_id,
            train.samples,
            development.samples,
            p,
            seed=seed,
            checkpoints=run.work,
            quiet=quiet,
        )
        run.cost |= {"tokens_per_second": round(p.epochs * train.counts()["tokens"] / (time.monotonic() - began))}
        run.cost |= {"batch": trained.batch}  # smaller than in params.yaml where memory was short
        origin = {"records": files.sha256(sources["train"]), "candidate_set": which, "candidates": train.candidates}
        save_adapter(trained.model, tokenizer, base, origin, paths.adapter(family, target_variant))
        _write_record(f"{family}-{target_variant}", trained, train.counts())


def _write_record(name: str, trained: Trained, counted: dict[str, Any]) -> None:
    """The curves as plots, the numbers as metrics."""
    with files.whole(Path(f"plots/training/{name}")) as folder:
        folder.mkdir()
        for series, key in (("train", "loss"), ("eval", "eval_loss")):
            rows = [(entry["step"], round(entry[key], 6)) for entry in trained.log if key in entry]
            curve = pl.DataFrame(rows, schema={"step": pl.Int64, "loss": pl.Float64}, orient="row")
            curve.write_csv(folder / f"{series}.csv")
    numbers = {"best_eval_loss": round(trained.best_eval_loss, 6), "steps": trained.steps, **counted}
    files.write_json(numbers, Path(f"metrics/train/{name}.json"))
