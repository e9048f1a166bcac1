"""Let a method's model score every candidate.   python -m stages.score_candidates kitrec_full
Reads data/answers/<method> (scored after what was thought), the base and models/<variant>; writes data/likelihoods."""

import time
from pathlib import Path

from kitrec import params, tables
from kitrec.contracts.answers import ANSWERS
from kitrec.contracts.items import ITEMS
from kitrec.contracts.likelihoods import LIKELIHOODS
from kitrec.contracts.records import RECORDS
from kitrec.domains import MODELS
from kitrec.llm.base_model import load_tokenizer
from kitrec.llm.method_params import Engine, Method
from kitrec.llm.pinned_base import FILE, read_pinned
from kitrec.llm.requests import requests_for
from kitrec.llm.scoring import Scorer, score_all
from kitrec.prep.params import Data
from kitrec.prompts.answer_head import AnswerHead
from kitrec.prompts.params import Prompt
from kitrec.prompts.tokens import Encoder
from stages import entry, paths


def main(method: str) -> None:
    """Score the candidates of all test records by METHOD (a key of infer.methods), where its answers name an item."""
    sets = params.value(Data, "data.test_sets")
    prompt = params.load(Prompt, "prompt")
    engine = params.load(Engine, "engine")
    p = params.load(Method, f"infer.methods.{method}")
    inputs = {which: (paths.of_set(paths.answers(method), which), paths.set_records(which, "test")) for which in sets}
    adapters = {name: Path("models") / p.model / name for name in MODELS} if p.fine_tuned else {}
    reads = [FILE, paths.ITEMS, *(path for pair in inputs.values() for path in pair), *adapters.values()]
    with entry.running("score_candidates", method, reads=reads, params=[sets, prompt, engine, p]) as run:
        base = read_pinned()
        encoder = Encoder(load_tokenizer(base))
        head = AnswerHead(encoder, thinking=p.thinking, answer_items=p.answer_items)
        items = {row["item_id"]: row for row in tables.read(paths.ITEMS, ITEMS).iter_rows(named=True)}
        scorer = Scorer(base, engine.dtype, adapters)
        found = {}
        for which, (answered, tested) in inputs.items():
            answers = tables.read(answered, ANSWERS)
            notes = answers.select("record_id", "notes")
            records = tables.read(tested, RECORDS).join(notes, on="record_id", how="left", maintain_order="left")
            requests = requests_for(records, items, encoder, p, prompt)
            began = time.monotonic()
            work = run.work / which
            found[f"set{which}"] = score_all(
                answers, records, requests, head, scorer.score, shard=engine.shard, work=work
            )
            seconds = time.monotonic() - began
            run.cost[f"set{which}"] = {"seconds": round(seconds, 2), "per_second": round(len(requests) / seconds, 2)}
        tables.write_all(found, paths.likelihoods(method), LIKELIHOODS)


if __name__ == "__main__":
    entry.start(main)
