"""The story `train_dualft` and `train_singleft` share: records -> samples -> adapter, curves and metrics."""

from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from kitrec.core import files, params, tables
from kitrec.llm.base.loading import load_for_training, load_tokenizer
from kitrec.llm.base.pinning import FILE, read_pinned
from kitrec.llm.finetuning.adapters import save_adapter
from kitrec.llm.finetuning.dataset import Lesson, once, training_samples
from kitrec.llm.finetuning.length_buckets import LengthBuckets
from kitrec.llm.finetuning.params import FineTune, Launch
from kitrec.llm.finetuning.trainer import Course, Trained, fine_tune
from kitrec.preprocessing.params import Data
from kitrec.prompts.params import Prompt
from kitrec.prompts.tokens import Encoder
from kitrec.schemas.items import ITEMS
from kitrec.schemas.records import RECORDS
from stages.lib import paths, runner

LOGS = Path("logs")


def train_adapter(family: str, target_variant: str, p: FineTune, *, quiet: bool) -> None:
    """Fine-tune one adapter of a family (`dualft`, `singleft`) on its own training records."""
    seed = params.load(int, "seed")
    which = params.value(Data, "data.candidate_set")
    prompt = params.load(Prompt, "prompt")
    launch = params.load(Launch, "launch")
    target, variant = target_variant.split("-")
    name = f"{family}-{target_variant}"
    sources = {role: paths.model_records(which, f"{family}-{target}", role) for role in ("train", "development")}
    reads = [FILE, paths.ITEMS, *sources.values()]
    with runner.running(f"train_{family}", target_variant, reads=reads, params=[seed, which, prompt, launch, p]) as run:
        base = read_pinned()
        tokenizer = load_tokenizer(base)
        encoder = Encoder(tokenizer)
        items = {row["item_id"]: row for row in tables.read(paths.ITEMS, ITEMS).iter_rows(named=True)}

        def lesson(role: str) -> Lesson:
            records = tables.read(sources[role], RECORDS)
            return training_samples(records, items, encoder, prompt, thinking=variant == "full", seed=seed)

        train, development = (once(partial(lesson, role), run.work / f"{role}.parquet") for role in sources)
        load_base = partial(load_for_training, base, launch.base_weights, sharded=launch.sharded)
        course = Course(
            name, load_base, tokenizer.pad_token_id, train.samples, development.samples, seed, run.work, LOGS, quiet
        )
        trained = fine_tune(course, p, launch)
        run.cost |= {"batch": trained.batch, **trained.pace}  # the batch is smaller than asked where memory was short
        origin = {"records": files.sha256(sources["train"]), "candidate_set": which, "candidates": train.candidates}
        save_adapter(trained.checkpoint, tokenizer, base, origin, paths.adapter(family, target_variant))
        order = LengthBuckets([len(sample) for sample in train.samples], p.batch, seed)
        data = {role: files.sha256(source) for role, source in sources.items()}
        counted = {**train.counts(), "padding_share": round(order.padding_share(p.epochs), 4)}
        counted |= {"base": base.fingerprint, "data": data}
        _write_record(name, trained, counted)


def _write_record(name: str, trained: Trained, counted: dict[str, Any]) -> None:
    """The curves as plots, the numbers as metrics."""
    with files.atomic(Path(f"plots/training/{name}")) as folder:
        folder.mkdir()
        for series, key in (("train", "loss"), ("eval", "eval_loss")):
            rows = [(entry["step"], round(entry[key], 6)) for entry in trained.log if key in entry]
            curve = pl.DataFrame(rows, schema={"step": pl.Int64, "loss": pl.Float64}, orient="row")
            curve.write_csv(folder / f"{series}.csv")
    numbers = {"best_eval_loss": round(trained.best_eval_loss, 6), "steps": trained.steps, **counted}
    files.write_json(numbers, Path(f"metrics/train/{name}.json"))
