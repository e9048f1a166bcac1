"""Does a method rank by what stands where?   python -m stages.probe_orders kitrec_full
Reads the test records, the base and models/<variant>; writes metrics/orders/<method>.json."""

from pathlib import Path

from kitrec.core import files, params, tables
from kitrec.core.domains import MODELS
from kitrec.llm.base.loading import load_tokenizer
from kitrec.llm.base.pinning import FILE, read_pinned
from kitrec.llm.generation.generator import Asking
from kitrec.llm.generation.params import Engine, Method, Probes
from kitrec.llm.generation.requests import requests_for
from kitrec.llm.generation.vllm_engine import VllmEngine
from kitrec.llm.likelihood.candidate_orders import reordered, restored
from kitrec.llm.likelihood.candidates import questions_of
from kitrec.llm.likelihood.score_agreement import score_agreement
from kitrec.preprocessing.params import Data
from kitrec.prompts.answer_head import AnswerHead
from kitrec.prompts.params import Prompt
from kitrec.prompts.styles import style_of
from kitrec.prompts.tokens import Encoder
from kitrec.schemas.items import ITEMS
from kitrec.schemas.records import RECORDS
from stages.lib import paths, runner


def main(method: str, quiet: runner.Quiet = runner.NOBODY_WATCHES) -> None:
    """Ask METHOD for a sample of records, their candidates in three orders, and compare the rankings by likelihood."""
    which, seed = params.value(Data, "data.candidate_set"), params.load(int, "seed")
    prompt, engine_params = params.load(Prompt, "prompt"), params.load(Engine, "engine")
    sample = params.value(Probes, "probes.records")
    p = params.load(Method, f"infer.methods.{method}")
    tested = paths.set_records(which, "test")
    adapters = {name: Path("models") / p.model / name for name in MODELS} if p.fine_tuned else {}
    used = [which, seed, prompt, engine_params, sample, p]
    with runner.running("probe_orders", method, reads=[FILE, paths.ITEMS, tested, *adapters.values()], params=used):
        base = read_pinned()
        encoder = Encoder(load_tokenizer(base))
        items = {row["item_id"]: row for row in tables.read(paths.ITEMS, ITEMS).iter_rows(named=True)}
        records = tables.read(tested, RECORDS)
        records = records.sample(min(sample, records.height), shuffle=True, seed=seed)
        style = style_of(prompt, encoder, thinking=p.thinking, answer_items=p.answer_items)
        head = AnswerHead(encoder, style)
        engine = VllmEngine(base, engine_params, adapters, seed=seed, quiet=quiet)
        ask = Asking(engine, encoder, p, seed, style.labels).ask
        scores = {}
        for number in range(3):
            shown, places = reordered(records, number, seed)
            requests = requests_for(shown, items, encoder, p, prompt)
            texts = [reply.text for reply in ask(requests)] if p.thinking else [None] * len(requests)
            scores[f"order {number}"] = restored(engine.likelihoods(questions_of(requests, texts, head)), places)
        truths = [row["candidate_ids"].index(row["gt_item_id"]) for row in records.iter_rows(named=True)]
        files.write_json(score_agreement(scores, truths), Path(f"metrics/orders/{method}.json"))


if __name__ == "__main__":
    runner.start(main)
