"""The result of a fine-tuning, its loss curves and its metrics."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from kitrec.core import files
from kitrec.llm.finetuning.dataset import TokenizedDataset
from kitrec.llm.finetuning.length_buckets import LengthBuckets
from kitrec.llm.finetuning.params import FineTune


@dataclass(frozen=True)
class FineTuningResult:
    """The checkpoint of the best evaluation, the run's log, the micro-batch that memory allowed, and the throughput."""

    checkpoint: Path
    log: list[dict[str, float]]
    steps: int
    best_eval_loss: float
    batch_size: int
    seconds: float
    throughput: dict[str, int]


def write_curves(result: FineTuningResult, path: Path) -> None:
    """Write the curves of training and evaluation loss as train.csv and eval.csv."""
    with files.atomic(path) as folder:
        folder.mkdir()
        for series, key in (("train", "loss"), ("eval", "eval_loss")):
            rows = [(entry["step"], round(entry[key], 6)) for entry in result.log if key in entry]
            curve = pl.DataFrame(rows, schema={"step": pl.Int64, "loss": pl.Float64}, orient="row")
            curve.write_csv(folder / f"{series}.csv")


def training_metrics(result: FineTuningResult, train: TokenizedDataset, p: FineTune, seed: int) -> dict[str, Any]:
    """Return the best evaluation loss, the steps, and the statistics of the training samples in their batches."""
    batches = LengthBuckets([len(sample) for sample in train.samples], p.batch_size, seed)
    return {
        "best_eval_loss": round(result.best_eval_loss, 6),
        "steps": result.steps,
        **train.statistics(),
        "padding_share": round(batches.padding_share(p.epochs), 4),
    }
