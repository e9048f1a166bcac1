"""Compare the weights of training with the weights served.   python -m stages.probe_precision kitrec_full
Reads data/answers/<method>, the test records, the base and models/<variant>; writes metrics/precision/<method>.json."""

from pathlib import Path

import numpy as np

from kitrec.core import files, params, tables
from kitrec.core.domains import Domains
from kitrec.llm.base.loading import load_quantised, load_tokenizer
from kitrec.llm.base.pinning import FILE, SERVED, PinnedBase, read_pinned
from kitrec.llm.finetuning.answer_form import answer_forms
from kitrec.llm.generation.params import Engine
from kitrec.llm.generation.requests import requests_for
from kitrec.llm.likelihood.candidates import Scorer, scoring_requests
from kitrec.llm.likelihood.params import Probes
from kitrec.llm.likelihood.score_agreement import score_agreement
from kitrec.llm.likelihood.scorers import load_scorer, served_weights
from kitrec.llm.likelihood.trie import ScoringRequest
from kitrec.preprocessing.params import Data
from kitrec.prompts.answer_head import AnswerHead
from kitrec.prompts.params import Prompt
from kitrec.prompts.styles import prompt_style
from kitrec.prompts.tokens import Encoder
from kitrec.schemas.answers import ANSWERS
from kitrec.schemas.items import ITEMS
from kitrec.schemas.records import RECORDS
from stages.lib import paths, runner
from stages.lib.methods import load_method


def main(method: str) -> None:
    """Score a sample of METHOD's answers on the base as its adapters were trained on it and as it is served."""
    # 1. Params and inputs
    which, seed = params.value(Data, "data.candidate_set"), params.load(int, "seed")
    domains, prompt = params.load(Domains, "domains"), params.load(Prompt, "prompt")
    engine = params.load(Engine, "engine")
    sample = params.value(Probes, "probes.records")
    p = load_method(method)
    answers_path, records_path = paths.of_set(paths.answers(method), which), paths.set_records(which, "test")
    adapters = paths.adapters(p.model, domains)
    reads = [FILE, SERVED, paths.ITEMS, answers_path, records_path, *adapters.values()]
    used = [which, seed, domains, prompt, engine, sample, p]
    with runner.running("probe_precision", method, reads=reads, params=used):
        # 2. A sample of answered records as scoring requests
        base, served = read_pinned(), read_pinned(SERVED)
        encoder = Encoder(load_tokenizer(base))
        items = {row["item_id"]: row for row in tables.read(paths.ITEMS, ITEMS).iter_rows(named=True)}
        answers = tables.read(answers_path, ANSWERS).select("record_id", "notes", "text", "error")
        records = tables.read(records_path, RECORDS).join(answers, on="record_id", maintain_order="left")
        records = records.filter(records["error"].is_null())
        records = records.sample(min(sample, records.height), shuffle=True, seed=seed)
        style = prompt_style(prompt, encoder, thinking=p.thinking, answer_items=p.answer_items, domains=domains)
        head = AnswerHead(encoder, style, answer_forms(adapters, prompt))
        requests = scoring_requests(
            requests_for(records, items, encoder, p, prompt, domains=domains), records["text"].to_list(), head
        )
        # 3. Scores on both kinds of weights, one after the other, and their agreement
        scores = {"nf4": _on_training_weights(base, adapters, requests)}
        scores[served_weights(served, engine)] = load_scorer(served, engine, adapters)(requests)
        ground_truth = [row["candidate_ids"].index(row["gt_item_id"]) for row in records.iter_rows(named=True)]
        files.write_json(score_agreement(scores, ground_truth), Path(f"metrics/precision/{method}.json"))


def _on_training_weights(
    base: PinnedBase, adapters: dict[str, Path], requests: list[ScoringRequest]
) -> list[np.ndarray]:
    """Score on the weights of training; the model is gone when this returns, memory holds one."""
    return Scorer(load_quantised(base), base, adapters).score(requests)


if __name__ == "__main__":
    runner.start(main)
