"""Measure how much a method's ranking depends on the order of candidates.   python -m stages.probe_orders kitrec_full
Reads the test records, the base and models/<variant>; writes metrics/orders/<method>.json."""

from pathlib import Path

from kitrec.core import files, params, tables
from kitrec.core.domains import Domains
from kitrec.llm.base.loading import load_tokenizer
from kitrec.llm.base.pinning import FILE, SERVED, read_pinned
from kitrec.llm.finetuning.answer_form import answer_forms
from kitrec.llm.generation.generator import Generator
from kitrec.llm.generation.params import Engine
from kitrec.llm.generation.requests import requests_for
from kitrec.llm.generation.vllm_engine import VllmEngine
from kitrec.llm.likelihood.candidate_orders import permuted, unpermuted
from kitrec.llm.likelihood.candidates import scoring_requests
from kitrec.llm.likelihood.params import Probes
from kitrec.llm.likelihood.score_agreement import score_agreement
from kitrec.preprocessing.params import Data
from kitrec.prompts.answer_head import AnswerHead
from kitrec.prompts.params import Prompt
from kitrec.prompts.styles import prompt_style
from kitrec.prompts.tokens import Encoder
from kitrec.schemas.items import ITEMS
from kitrec.schemas.records import RECORDS
from stages.lib import paths, runner
from stages.lib.methods import load_method


def main(method: str, quiet: runner.Quiet = runner.NO_TERMINAL) -> None:
    """Score a sample of records by METHOD, their candidates in three orders, and compare the rankings by likelihood."""
    # 1. Params and inputs
    which, seed = params.value(Data, "data.candidate_set"), params.load(int, "seed")
    domains, prompt = params.load(Domains, "domains"), params.load(Prompt, "prompt")
    engine_params = params.load(Engine, "engine")
    sample = params.value(Probes, "probes.records")
    p = load_method(method)
    records_path = paths.set_records(which, "test")
    adapters = paths.adapters(p.model, domains)
    reads = [FILE, SERVED, paths.ITEMS, records_path, *adapters.values()]
    used = [which, seed, domains, prompt, engine_params, sample, p]
    with runner.running("probe_orders", method, reads=reads, params=used):
        # 2. A sample of records, and the engine
        base = read_pinned()
        encoder = Encoder(load_tokenizer(base))
        items = {row["item_id"]: row for row in tables.read(paths.ITEMS, ITEMS).iter_rows(named=True)}
        records = tables.read(records_path, RECORDS)
        records = records.sample(min(sample, records.height), shuffle=True, seed=seed)
        style = prompt_style(prompt, encoder, thinking=p.thinking, answer_items=p.answer_items, domains=domains)
        head = AnswerHead(encoder, style, answer_forms(adapters, prompt))
        engine = VllmEngine(read_pinned(SERVED), engine_params, adapters, seed=seed, quiet=quiet)
        generate = Generator(engine, encoder, p, seed, style.labels).generate
        # 3. Scores of the candidates in three orders, and their agreement
        scores = {}
        for number in range(3):
            shown, orders = permuted(records, number, seed)
            requests = requests_for(shown, items, encoder, p, prompt, domains=domains)
            texts = [reply.text for reply in generate(requests)] if p.thinking else [None] * len(requests)
            values = engine.likelihoods(scoring_requests(requests, texts, head))
            scores[f"order {number}"] = unpermuted(values, orders)
        ground_truth = [row["candidate_ids"].index(row["gt_item_id"]) for row in records.iter_rows(named=True)]
        files.write_json(score_agreement(scores, ground_truth), Path(f"metrics/orders/{method}.json"))


if __name__ == "__main__":
    runner.start(main)
