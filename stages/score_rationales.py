"""How likely a method's rationales are.   python -m stages.score_rationales kitrec_full
Reads data/answers/<method>, the test records, the base and models/<variant>; writes data/rationales/<method>."""

from pathlib import Path

from kitrec import params, tables
from kitrec.contracts.answers import ANSWERS
from kitrec.contracts.items import ITEMS
from kitrec.contracts.rationales import RATIONALES
from kitrec.contracts.records import RECORDS
from kitrec.domains import MODELS
from kitrec.llm.base_model import load_tokenizer
from kitrec.llm.method_params import Engine, Infer
from kitrec.llm.pinned_base import FILE, read_pinned
from kitrec.llm.rationales import score_rationales
from kitrec.llm.requests import requests_for
from kitrec.llm.scoring import Scorer
from kitrec.prep.params import Data
from kitrec.prompts.params import Prompt
from kitrec.prompts.tokens import Encoder
from stages import entry, paths


def main(method: str) -> None:
    """Score the rationales of METHOD (a key of infer.methods) by the model that wrote them, and by the base."""
    sets = params.value(Data, "data.test_sets")
    prompt = params.load(Prompt, "prompt")
    engine = params.load(Engine, "engine")
    p = params.load(Infer, "infer").methods[method]
    inputs = {which: (paths.of_set(paths.answers(method), which), paths.set_records(which, "test")) for which in sets}
    adapters = {name: Path("models") / p.model / name for name in MODELS} if p.fine_tuned else {}
    reads = [FILE, paths.ITEMS, *(path for pair in inputs.values() for path in pair), *adapters.values()]
    with entry.running("score_rationales", method, reads=reads, params=[sets, prompt, engine, p]) as run:
        base = read_pinned()
        encoder = Encoder(load_tokenizer(base))
        items = {row["item_id"]: row for row in tables.read(paths.ITEMS, ITEMS).iter_rows(named=True)}
        scorer = Scorer(base, engine.dtype, adapters)
        found = {}
        for which, (answered, tested) in inputs.items():
            answers = tables.read(answered, ANSWERS)
            notes = answers.select("record_id", "notes")
            records = tables.read(tested, RECORDS).join(notes, on="record_id", how="left", maintain_order="left")
            requests = requests_for(records, items, encoder, p, prompt)
            shards = {"shard": engine.shard, "work": run.work / which}
            found[f"set{which}"] = score_rationales(
                answers, requests, encoder, scorer.score, thinking=p.thinking, **shards
            )
        tables.write_all(found, Path("data/rationales") / method, RATIONALES)


if __name__ == "__main__":
    entry.start(main)
