"""Time and memory at 700,000 items, beside the code before: the same results in one run.   make bench-scale

Times are processor seconds of one thread, the fewest of some repeats; the former code, far slower, runs once and on
fewer users. Rankings, samples and records of both sides are compared, and any difference stops the run."""

import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from bench import scale_before as before
from bench.claims import Claim, at_least, at_most, publish
from bench.running import peak_above_now, start
from bench.scale_metadata import genres, titles
from bench.scale_world import ITEMS, made_histories, made_model, processor_seconds
from kitrec.core.errors import InputError
from kitrec.onnx.export import export
from kitrec.onnx.runtime import load_onnx_model
from kitrec.recommenders.ranking.sampled import NEGATIVES, sample_negatives
from kitrec.recommenders.ranking.top_k import Scorer, predict
from kitrec.thinkrec.conversion import from_interactions

COMMAND = "make bench-scale"
USERS, REPEATS, K = 2048, 3, 10
USERS_BEFORE = 256  # the former code needs about 25 ms a user

Row = dict[str, Any]


def main() -> None:
    """Measure every part and publish."""
    torch.set_num_threads(1)
    parts = {
        f"predict, {ITEMS:,} items, one thread": _predicting,
        f"fit --negatives, {ITEMS:,} items": _sampling,
        f"thinkrec-records, {ITEMS:,} items": _converting,
        "titles": titles,
        f"genres, {ITEMS:,} items": genres,
    }
    measured = {name: measure() for name, measure in parts.items()}
    claims = [claim for of_part, _ in measured.values() for claim in of_part]
    publish("scale", claims, {name: rows for name, (_, rows) in measured.items()})


def _predicting() -> tuple[list[Claim], list[Row]]:
    stored, histories = made_model(), made_histories(USERS)
    few = histories.take(np.arange(USERS_BEFORE))
    seconds, expected = processor_seconds(lambda: before.best_of_whole_tables(stored, few, K))
    former = seconds / USERS_BEFORE
    with tempfile.TemporaryDirectory() as work:
        export(stored, Path(work) / "served")
        served = load_onnx_model(Path(work) / "served")
    claims, rows = [], [_row("predict, table of all scores", former)]
    scorers: dict[str, Scorer] = {"torch": stored, "ONNX": served}
    for name, scorer in scorers.items():
        predict(scorer, few, K)  # the items are prepared once for all users
        peak = peak_above_now()
        seconds, top = processor_seconds(partial(predict, scorer, histories, K), REPEATS)
        memory = peak()
        _require_equal(f"predict, {name}", top.items[:USERS_BEFORE], expected)
        rows.append(_row(f"predict, {name}", seconds / USERS, memory))
        peer = "a table of all scores, partitioned"
        ratio = former / (seconds / USERS)
        claims.append(at_least(f"predict, {name}: the best {K}", ratio, 50, "x", COMMAND, peer=peer, repeats=REPEATS))
        claims.append(at_most(f"predict, {name}: peak memory", memory, 512, "MiB", COMMAND))
    return claims, rows


def _sampling() -> tuple[list[Claim], list[Row]]:
    """Negatives of `fit --negatives 100`, uniform and by popularity: the same distribution, other draws."""
    histories, few = made_histories(USERS), made_histories(USERS_BEFORE // 8)
    popularity = np.bincount(made_histories(20_000, seed=1).items, minlength=ITEMS + 1)[1:].astype(np.float32)
    weights = {"uniform": np.ones_like(popularity), "popularity": popularity}
    claims, rows = [], []
    for name, weight in weights.items():
        rng = np.random.default_rng(0)
        seconds, _ = processor_seconds(partial(before.sample_by_noise, rng, few, weight, NEGATIVES))
        former = seconds / len(few)
        peak = peak_above_now()
        seconds, sampled = processor_seconds(partial(sample_negatives, rng, histories, weight), REPEATS)
        memory = peak()
        ratio, peer = former / (seconds / USERS), "noise on all items"
        claims.append(at_least(f"fit --negatives, {name}", ratio, 100, "x", COMMAND, peer=peer, repeats=REPEATS))
        rows += [_row(f"negatives by noise, {name}", former), _row(f"negatives, {name}", seconds / USERS, memory)]
        pairs = np.arange(USERS)[:, None] * (ITEMS + 1) + sampled
        taken = np.isin(pairs, histories.users * (ITEMS + 1) + histories.items).any()
        _require_equal(f"negatives, {name}", (len(np.unique(pairs)), bool(taken)), (pairs.size, False))
    return claims, rows


def _converting() -> tuple[list[Claim], list[Row]]:
    """The records of `thinkrec-records`: the same positives and histories, other negatives of the same distribution."""
    histories = made_histories(USERS)
    pool = [f"i{number:07d}" for number in range(1, ITEMS + 1)]
    titles = {item: f"Title {item}" for item in pool}
    items = [pool[number - 1] for number in histories.items]
    table = pl.DataFrame({"user_id": histories.users, "item_id": items, "time": range(len(items))})
    few = table.filter(pl.col("user_id") < USERS_BEFORE // 64)
    once = few.unique(["user_id", "item_id"], maintain_order=True)  # as files are read
    seconds, expected = processor_seconds(partial(before.records_by_permutations, once, titles, pool, 3, seed=1))
    former = seconds / (USERS_BEFORE // 64)
    peak = peak_above_now()
    table = table.unique(["user_id", "item_id"], maintain_order=True)
    seconds, records = processor_seconds(partial(from_interactions, table, titles, pool, 3, seed=1), REPEATS)
    memory, ratio = peak(), former / (seconds / USERS)
    positives = [record for record in records if record.label]
    _require_equal("thinkrec-records", positives[: USERS_BEFORE // 64], [record for record in expected if record.label])
    claims = [at_least("thinkrec-records", ratio, 1000, "x", COMMAND, peer="a permutation of all items for each user")]
    rows = [_row("records by permutations", former), _row("records", seconds / USERS, memory)]
    return claims, rows


def _row(what: str, seconds: float, memory: int | str = "–") -> Row:
    return {"what": what, "ms a user": round(1000 * seconds, 4), "MiB": memory}


def _require_equal(what: str, ours: object, theirs: object) -> None:
    if ours != theirs:
        raise InputError(f"{what}: the results differ from those of the former code; correct it before it is timed")


if __name__ == "__main__":
    start(main, __doc__)
