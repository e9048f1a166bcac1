"""Reading ability of the tiny base on rehearsal worlds it never saw.   make bench-base   (a few minutes)

Measures, in words that all domains share: Hit@1 against the text-only oracle by number of candidates, thinking and
direct; valid ids; whether another user's history changes the answer, whether the order of candidates does, and the
attention of the choosing heads. Draws docs/figures/reading_*.png."""

from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from bench import figures
from bench.claims import Claim, at_least, at_most, publish
from bench.running import start
from kitrec.core import params
from kitrec.tinybase import probes
from kitrec.tinybase.attention_probe import attention_to_lines
from kitrec.tinybase.params import TinyBase

COMMAND = "make bench-base"
BASE = Path("base/tiny-qwen3")
COUNTS = (5, 10, 20, 50, 100)
USERS = 100
HEADLINE = 20
SHOWN = 24  # users in the figure of attention


def main() -> None:
    """Measure and publish."""
    seed, p = params.load(int, "seed"), params.load(TinyBase, "tiny_base")
    model = probes.ProbedModel(BASE)
    exams = {count: probes.held_out_probe_set(seed, p, count, USERS) for count in COUNTS}
    runs = [(count, thinking) for count in COUNTS for thinking in (True, False)]
    rows = [_row(model, exams[count], count, thinking) for count, thinking in track(runs, "answering", transient=True)]
    headline = {row["answers"]: row for row in rows if row["candidates"] == HEADLINE}
    changes = _changes(model, exams[HEADLINE], seed)
    figures.by_candidates(rows)
    attention = _draw_attention(exams[HEADLINE])
    claims = [
        *(_of_oracle(f"Hit@1 at {HEADLINE} candidates, {way}", row["of the oracle"]) for way, row in headline.items()),
        *(
            at_least(f"valid ids, {way}", row["valid ids"], 0.95, "of answers", COMMAND)
            for way, row in headline.items()
        ),
        at_least("another user's history changes", changes["history"], 0.7, "of answers", COMMAND),
        at_least("attention on the best candidate's line, thinking", attention, 0.5, "of the choosing heads'", COMMAND),
        at_most("another order of candidates changes", changes["order"], 0.3, "of answers", COMMAND),
    ]
    publish("reading", claims, {f"By number of candidates ({USERS} users each)": rows})


def _of_oracle(words: str, ratio: float) -> Claim:
    return at_least(words, ratio, 0.6, "of the text-only oracle's", COMMAND, peer="text-only oracle")


def _row(model: probes.ProbedModel, exam: probes.ProbeSet, count: int, thinking: bool) -> dict[str, Any]:
    answers = model.answers(exam.records.to_dicts(), exam.items, thinking=thinking)
    hits, oracle = probes.hit_at_1(answers, exam.records["gt_item_id"].to_list()), exam.oracle_hits().mean()
    return {
        "candidates": count,
        "answers": "thinking" if thinking else "direct",
        "Hit@1": round(hits, 3),
        "text-only oracle": round(float(oracle), 3),
        "of the oracle": round(hits / float(oracle), 3),
        "random": round(1 / count, 3),
        "valid ids": round(probes.valid_share(answers), 3),
    }


def _draw_attention(exam: probes.ProbeSet) -> float:
    """Draw the attention of the choosing base; return its mean share on the oracle's line, where that is one line."""
    records = exam.records.to_dicts()
    shares = attention_to_lines(BASE, records, exam.items)
    correct = [record["candidate_ids"].index(record["gt_item_id"]) for record in records]
    figures.attention([row.tolist() for row in shares[:SHOWN]], correct[:SHOWN])
    clear = [k for k, scores in enumerate(exam.oracle) if np.isclose(scores, max(scores)).sum() == 1]
    return float(np.mean([shares[k][int(np.argmax(exam.oracle[k]))] for k in clear]))


def _changes(model: probes.ProbedModel, exam: probes.ProbeSet, seed: int) -> dict[str, float]:
    """Return the share of answers that another history, or another order of the candidates, changes."""
    records = exam.records.to_dicts()
    variants = {
        "history": probes.with_other_histories(records),
        "order": probes.with_shuffled_candidates(records, seed),
    }
    first = probes.first_ids(model.answers(records, exam.items, thinking=True))
    changed = {}
    for name, variant in variants.items():
        now = probes.first_ids(model.answers(variant, exam.items, thinking=True))
        changed[name] = sum(a != b for a, b in zip(first, now, strict=True)) / len(first)
    return changed


if __name__ == "__main__":
    start(main, __doc__)
