"""How far serving differs from training: NF4 against whole weights.   python -m stages.probe_precision kitrec_full
Reads data/answers/<method>, the test records, the base and models/<variant>; writes metrics/precision/<method>.json."""

from functools import partial
from pathlib import Path

import torch

from kitrec.core import files, params, tables
from kitrec.core.domains import MODELS
from kitrec.llm.base.loading import load_for_serving, load_quantised, load_tokenizer
from kitrec.llm.base.pinning import FILE, read_pinned
from kitrec.llm.generation.params import Engine, Method, Probes
from kitrec.llm.generation.requests import requests_for
from kitrec.llm.likelihood.candidates import Scorer, questions_of
from kitrec.llm.likelihood.score_agreement import score_agreement
from kitrec.preprocessing.params import Data
from kitrec.prompts.answer_head import AnswerHead
from kitrec.prompts.params import Prompt
from kitrec.prompts.styles import style_of
from kitrec.prompts.tokens import Encoder
from kitrec.schemas.answers import ANSWERS
from kitrec.schemas.items import ITEMS
from kitrec.schemas.records import RECORDS
from stages.lib import paths, runner


def main(method: str) -> None:
    """Score a sample of METHOD's answers on the NF4 base its adapters were trained on and on whole weights."""
    which, seed = params.value(Data, "data.candidate_set"), params.load(int, "seed")
    prompt, engine = params.load(Prompt, "prompt"), params.load(Engine, "engine")
    sample = params.value(Probes, "probes.records")
    p = params.load(Method, f"infer.methods.{method}")
    answered, tested = paths.of_set(paths.answers(method), which), paths.set_records(which, "test")
    adapters = {name: Path("models") / p.model / name for name in MODELS} if p.fine_tuned else {}
    reads = [FILE, paths.ITEMS, answered, tested, *adapters.values()]
    used = [which, seed, prompt, engine, sample, p]
    with runner.running("probe_precision", method, reads=reads, params=used):
        base = read_pinned()
        encoder = Encoder(load_tokenizer(base))
        items = {row["item_id"]: row for row in tables.read(paths.ITEMS, ITEMS).iter_rows(named=True)}
        answers = tables.read(answered, ANSWERS).select("record_id", "notes", "text", "error")
        known = tables.read(tested, RECORDS).join(answers, on="record_id", maintain_order="left")
        rows = known.filter(known["error"].is_null())
        rows = rows.sample(min(sample, rows.height), shuffle=True, seed=seed)
        head = AnswerHead(encoder, style_of(prompt, encoder, thinking=p.thinking, answer_items=p.answer_items))
        questions = questions_of(requests_for(rows, items, encoder, p, prompt), rows["text"].to_list(), head)
        served = partial(load_for_serving, base, getattr(torch, engine.dtype))
        loaded = {"nf4": partial(load_quantised, base), engine.dtype: served}  # one after the other: memory holds one
        scores = {name: Scorer(load(), base, adapters).score(questions) for name, load in loaded.items()}
        truths = [row["candidate_ids"].index(row["gt_item_id"]) for row in rows.iter_rows(named=True)]
        files.write_json(score_agreement(scores, truths), Path(f"metrics/precision/{method}.json"))


if __name__ == "__main__":
    runner.start(main)
