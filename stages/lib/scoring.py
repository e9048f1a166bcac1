"""The part that `score_candidates` and `score_rationales` share: a method's answers, and the model that gave them."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from kitrec.core import params, tables
from kitrec.core.domains import Domains
from kitrec.core.tables import Table
from kitrec.llm.base.loading import load_tokenizer
from kitrec.llm.base.pinning import FILE, SERVED, read_pinned
from kitrec.llm.finetuning.answer_form import answer_forms
from kitrec.llm.generation.params import Engine, Method
from kitrec.llm.generation.requests import Request, requests_for
from kitrec.llm.likelihood.candidates import Score
from kitrec.llm.likelihood.scorers import load_scorer, served_weights
from kitrec.preprocessing.params import Data
from kitrec.prompts.answer_head import AnswerForm
from kitrec.prompts.params import Prompt
from kitrec.prompts.styles import prompt_style
from kitrec.prompts.template import Style
from kitrec.prompts.tokens import Encoder
from kitrec.schemas.answers import ANSWERS
from kitrec.schemas.items import ITEMS
from kitrec.schemas.records import RECORDS
from kitrec.training.progress import count_bar
from stages.lib import paths, runner
from stages.lib.methods import load_method

SHARD = 200  # records at most: minutes of a 14B base, so that a kill loses no more


@dataclass(frozen=True)
class AnsweredSet:
    """A test set with a method's answers, their prompts, and what scores them."""

    method: Method
    encoder: Encoder
    style: Style
    answer_forms: Mapping[str, AnswerForm]  # of the adapters
    score: Score
    records: pl.DataFrame
    answers: pl.DataFrame
    requests: list[Request]
    shard_size: int
    work: Path
    advance: Callable[[int], None]  # called with the number of records of every finished shard


ScoreSet = Callable[[AnsweredSet], pl.DataFrame]


def score_sets(stage: str, method: str, score: ScoreSet, folder: Path, table: Table, *, quiet: bool) -> None:
    """Score the answers of METHOD to every test set by `score`, and write the tables to `folder`."""
    # 1. Params and inputs
    sets = params.value(Data, "data.test_sets")
    domains, prompt = params.load(Domains, "domains"), params.load(Prompt, "prompt")
    engine = params.load(Engine, "engine")
    p = load_method(method)
    inputs = {which: (paths.of_set(paths.answers(method), which), paths.set_records(which, "test")) for which in sets}
    adapters = paths.adapters(p.model, domains)
    reads = [FILE, SERVED, paths.ITEMS, *(path for pair in inputs.values() for path in pair), *adapters.values()]
    with runner.running(stage, method, reads=reads, params=[sets, domains, prompt, engine, p]) as run:
        # 2. The base with the method's adapters
        base, served = read_pinned(), read_pinned(SERVED)
        encoder = Encoder(load_tokenizer(base))
        items = {row["item_id"]: row for row in tables.read(paths.ITEMS, ITEMS).iter_rows(named=True)}
        style = prompt_style(prompt, encoder, thinking=p.thinking, answer_items=p.answer_items, domains=domains)
        forms = answer_forms(adapters, prompt)
        score_requests = load_scorer(served, engine, adapters)
        run.cost["weights"] = served_weights(served, engine)
        # 3. The likelihoods of each test set
        scores = {}
        for which, (answers_path, records_path) in inputs.items():
            answers = tables.read(answers_path, ANSWERS)
            notes = answers.select("record_id", "notes")
            records = tables.read(records_path, RECORDS).join(notes, on="record_id", how="left", maintain_order="left")
            requests = requests_for(records, items, encoder, p, prompt, domains=domains)
            start, size, work = time.monotonic(), min(engine.shard_size, SHARD), run.work / which
            with count_bar(f"{stage} {method} set{which}", len(requests), quiet=quiet) as advance:
                test = AnsweredSet(
                    p, encoder, style, forms, score_requests, records, answers, requests, size, work, advance
                )
                scores[f"set{which}"] = score(test)
            seconds = time.monotonic() - start
            run.cost[f"set{which}"] = {"seconds": round(seconds, 2), "per_second": round(len(requests) / seconds, 2)}
        # 4. One table per test set
        tables.write_all(scores, folder, table)
