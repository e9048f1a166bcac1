"""Measure how much a method's ranking depends on the order of candidates.   python -m stages.probe_orders kitrec_full
Reads the test records, the method's data/likelihoods, the base and models/<variant>; writes
metrics/orders/<method>.json."""

from pathlib import Path

import numpy as np

from kitrec.core import files, params, tables
from kitrec.core.domains import Domains
from kitrec.llm.base.loading import load_tokenizer
from kitrec.llm.base.pinning import FILE, SERVED, read_pinned
from kitrec.llm.finetuning.answer_form import answer_forms
from kitrec.llm.generation.generator import Generator
from kitrec.llm.generation.params import Engine
from kitrec.llm.generation.replicas import EngineSpec, separate_engine
from kitrec.llm.generation.requests import requests_for
from kitrec.llm.likelihood.candidate_orders import permuted, unpermuted
from kitrec.llm.likelihood.candidates import scoring_requests
from kitrec.llm.likelihood.params import Probes
from kitrec.llm.likelihood.score_agreement import score_agreement
from kitrec.llm.likelihood.scorers import load_scorer
from kitrec.preprocessing.params import Data
from kitrec.prompts.answer_head import AnswerHead
from kitrec.prompts.params import Prompt
from kitrec.prompts.styles import prompt_style
from kitrec.prompts.tokens import Encoder
from kitrec.schemas.items import ITEMS
from kitrec.schemas.likelihoods import LIKELIHOODS
from kitrec.schemas.records import RECORDS
from stages.lib import paths, runner
from stages.lib.methods import load_method

OTHER_ORDERS = (1, 2)


def main(method: str) -> None:
    """Score a sample of records by METHOD with their candidates in two other orders; compare them with the first."""
    # 1. Params and inputs
    which, seed = params.value(Data, "data.candidate_set"), params.load(int, "seed")
    domains, prompt = params.load(Domains, "domains"), params.load(Prompt, "prompt")
    engine, sample = params.load(Engine, "engine"), params.value(Probes, "probes.records")
    p = load_method(method)
    records_path, scored_path = paths.set_records(which, "test"), paths.of_set(paths.likelihoods(method), which)
    adapters = paths.adapters(p.model, domains)
    reads = [FILE, SERVED, paths.ITEMS, records_path, scored_path, *adapters.values()]
    used = [which, seed, domains, prompt, engine, sample, p]
    with runner.running("probe_orders", method, reads=reads, params=used):
        # 2. A sample of scored records, and their prompts in the other orders
        encoder, served = Encoder(load_tokenizer(read_pinned())), read_pinned(SERVED)
        items = {row["item_id"]: row for row in tables.read(paths.ITEMS, ITEMS).iter_rows(named=True)}
        scored = tables.read(scored_path, LIKELIHOODS).select("record_id", "loglik").drop_nulls()
        records = tables.read(records_path, RECORDS).join(scored, on="record_id", maintain_order="left")
        records = records.sample(min(sample, records.height), shuffle=True, seed=seed)
        shown = [permuted(records, number, seed) for number in OTHER_ORDERS]
        requests = [r for table, _ in shown for r in requests_for(table, items, encoder, p, prompt, domains=domains)]
        # 3. Their thoughts, if the method has any, and then their scores
        texts: list[str | None] = [None] * len(requests)
        if p.thinking:
            with separate_engine(EngineSpec(served, engine, adapters, seed, quiet=True)) as answering:
                texts = [*Generator(answering, encoder, p, seed).thoughts(requests)]
        style = prompt_style(prompt, encoder, thinking=p.thinking, answer_items=p.answer_items, domains=domains)
        head = AnswerHead(encoder, style, answer_forms(adapters, prompt))
        values = load_scorer(served, engine, adapters)(scoring_requests(requests, texts, head))
        # 4. The agreement of the three orders, the first of which is that of the rankings
        scores = {"order 0": [np.array(row) for row in records["loglik"].to_list()]}
        for number, (_, orders) in zip(OTHER_ORDERS, shown, strict=True):
            scores[f"order {number}"] = unpermuted(values[: len(orders)], orders)
            values = values[len(orders) :]
        ground_truth = [row["candidate_ids"].index(row["gt_item_id"]) for row in records.iter_rows(named=True)]
        files.write_json(score_agreement(scores, ground_truth), Path(f"metrics/orders/{method}.json"))


if __name__ == "__main__":
    runner.start(main)
