"""`kitrec thinkrec-train`: a Yes/No recommender from your own like/dislike records, outside the pipeline."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import polars as pl
import typer

from kitrec.core import files, params
from kitrec.core.auc import auc, uauc
from kitrec.core.errors import InputError
from kitrec.core.randomness import generator
from kitrec.llm.base.params import BaseWithServed
from kitrec.thinkrec.params import ThinkRec
from kitrec.thinkrec.records import Record, RecordFile, of_sampled_users, read_records
from kitrec.training.params import Trainer


def thinkrec_train(
    records: Annotated[Path, typer.Argument(help="JSONL of like/dislike records (docs/specification/thinkrec.md)")],
    to: Annotated[Path, typer.Option(help="folder to write; an interrupted training there is resumed")],
    valid: Annotated[
        Path | None,
        typer.Option(help="JSONL that selects the best update; without it a tenth of the users is held out"),
    ] = None,
    seed: int = 42,
) -> None:
    """Train the stages of thinkrec.stages on records, text first and vectors where there are any, and score them.

    Base, prompts, objective and training are those of params.yaml."""
    from kitrec.llm.base.loading import load_base, load_tokenizer  # torch is only needed here
    from kitrec.llm.base.pinning import pin
    from kitrec.thinkrec.stage_training import StageData, train_projector, train_text
    from kitrec.thinkrec.storage import load_trained
    from kitrec.thinkrec.training import SELECTION
    from kitrec.training.progress import stages_bar

    p, base = params.load(ThinkRec, "thinkrec"), pin(params.load(BaseWithServed, "base"))
    read, train, held_out = _split(records, valid, seed)
    with stages_bar(p.stages.text.training.rounds, SELECTION.metric, quiet=False, unit="updates") as on_validation:
        data = StageData(
            prompt=p.prompt,
            objective=p.objective,
            train=train,
            valid=of_sampled_users(held_out, params.value(Trainer, "trainer.llm_validation_users"), seed),
            users=read.users,
            items=read.items,
            load_base=lambda: load_base(base, p.base_weights),
            tokenizer=load_tokenizer(base),
            base=base,
            folder=to,
            work=to / "training",
            seed=seed,
            on_validation=on_validation,
        )
        stage = "text"
        train_text(data, p.stages.text)
        if read.users is not None and read.items is not None:
            stage = "projector"
            train_projector(data, p.stages.projector)
    trained = load_trained(data.load_base(), data.tokenizer, base, to, stage)
    scorer = trained.scorer(data.composer(vectors=stage == "projector"), p.objective)
    _write_scores(held_out, scorer.score_records(held_out), to / "scores.tsv")


def _split(path: Path, valid: Path | None, seed: int) -> tuple[RecordFile, list[Record], list[Record]]:
    """Return the file with all vectors, its training records, and the recommendation records that validate."""
    read = read_records(path)
    print(f"{path}: {_counts(read)}")
    if valid is not None:
        held_out = read_records(valid).records
        train = read.records
    else:
        users = list(dict.fromkeys(record.user for record in read.records))
        chosen = set(generator(seed, "thinkrec validation users").permutation(users)[: -(-len(users) // 10)].tolist())
        held_out, train = ([r for r in read.records if (r.user in chosen) is inside] for inside in (True, False))
    if not train:
        raise InputError(f"{path}: all its users are needed to validate; give more users, or --valid FILE")
    return read, train, [record for record in held_out if record.mode == "v2"]


def _counts(read: RecordFile) -> str:
    """Return what the records are, and what was left out."""
    kinds = {
        "answered by Yes or No": sum(r.mode == "v2" and r.answer == "yes_no" for r in read.records),
        "answered by an item": sum(r.answer == "item" for r in read.records),
        "with a rationale": sum(r.mode == "v1" for r in read.records),
    }
    dropped = [f"{count} {name.replace('_', ' ')} left out" for name, count in read.dropped.items() if count]
    return ", ".join([*(f"{count} {name}" for name, count in kinds.items()), *dropped])


def _write_scores(records: Sequence[Record], scores: np.ndarray, to: Path) -> None:
    """Write the probability of each validation record, and print the AUC."""
    rows = [(r.user, r.target, r.label, r.answer) for r in records]
    table = pl.DataFrame(rows, schema=["user", "item", "label", "answer"], orient="row")
    with files.atomic(to) as draft:
        table.with_columns(probability=scores).write_csv(draft, separator="\t")
    labels, users = np.array([record.label for record in records]), [record.user for record in records]
    print(f"{to}: AUC {auc(labels, scores):.4f}, UAUC {uauc(labels, scores, users):.4f} of {len(records)} records")
