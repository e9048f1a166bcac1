"""Answer the test records by a method.   python -m stages.infer_vllm kitrec_full
Reads the test records, the pinned base and models/<variant>; writes data/answers/<method>/set*.parquet."""

import sys
import time
from dataclasses import replace

from kitrec.core import params, tables
from kitrec.core.domains import Domains
from kitrec.llm.base.loading import load_tokenizer
from kitrec.llm.base.pinning import FILE, SERVED, read_pinned
from kitrec.llm.finetuning.adapters import adapter_warnings
from kitrec.llm.finetuning.answer_form import answer_forms
from kitrec.llm.generation.generator import Generator
from kitrec.llm.generation.llm4cdr import with_notes
from kitrec.llm.generation.params import Engine
from kitrec.llm.generation.replicas import EngineSpec, start_engines
from kitrec.llm.generation.requests import requests_for
from kitrec.llm.generation.resumable import generate_answers, generation_statistics
from kitrec.parsing.length_warnings import length_warnings
from kitrec.preprocessing.params import Data
from kitrec.prompts.params import Prompt
from kitrec.prompts.styles import single_token_labels
from kitrec.prompts.tokens import Encoder, thinking_warnings
from kitrec.schemas.answers import ANSWERS
from kitrec.schemas.items import ITEMS
from kitrec.schemas.records import RECORDS
from kitrec.training.progress import count_bar
from stages.lib import paths, runner
from stages.lib.methods import load_method


def main(method: str, quiet: runner.Quiet = runner.NO_TERMINAL) -> None:
    """Answer all test records by METHOD (a key of infer.methods), each user by the model of its type."""
    # 1. Params and inputs
    seed, sets = params.load(int, "seed"), params.value(Data, "data.test_sets")
    domains, prompt = params.load(Domains, "domains"), params.load(Prompt, "prompt")
    engine_p, p = params.load(Engine, "engine"), load_method(method)
    records = {which: paths.set_records(which, "test") for which in sets}
    adapters = paths.adapters(p.model, domains)
    reads = [FILE, SERVED, paths.ITEMS, *records.values(), *adapters.values()]
    with runner.running("infer_vllm", method, reads=reads, params=[seed, sets, domains, prompt, engine_p, p]) as run:
        # 2. One engine with the base and all adapters of the method, whose answers begin as the prompts ask for
        answer_forms(adapters, prompt)
        encoder = Encoder(load_tokenizer(base := read_pinned()))
        items = {row["item_id"]: row for row in tables.read(paths.ITEMS, ITEMS).iter_rows(named=True)}
        engine = start_engines(EngineSpec(read_pinned(SERVED), engine_p, adapters, seed, quiet=True))
        _warn(thinking_warnings(encoder, thinking=p.thinking), run)
        # 3. Prompts of each test set, generated shard by shard
        answers = {}
        for which, path in records.items():
            test = tables.read(path, RECORDS)
            _warn(adapter_warnings(adapters, base, max(map(len, test["candidate_ids"]), default=0), prompt.form), run)
            start, shards = time.monotonic(), {"shard_size": engine_p.shard_size, "work": run.work / which}
            if p.steps == "llm4cdr":
                free = Generator(engine, encoder, replace(p, structured_outputs=False), seed)
                test = with_notes(test, items, encoder, p, prompt, free.generate, **shards, domains=domains)
            requests = requests_for(test, items, encoder, p, prompt, domains=domains)
            ids = test["record_id"].to_list()
            labels = single_token_labels(encoder) if prompt.labels else ()
            generate = Generator(engine, encoder, p, seed, labels).generate
            with count_bar(f"infer_vllm {method} set{which}", test.height, quiet=quiet) as advance:
                answers[f"set{which}"] = generate_answers(
                    method, ids, requests, generate, max_length=prompt.max_length, **shards, on_shard=advance
                )
            _warn(length_warnings(answers[f"set{which}"], p.max_new_tokens, p.thinking_budget), run)
            run.cost[f"set{which}"] = generation_statistics(answers[f"set{which}"], time.monotonic() - start)
        # 4. One table of raw answers per test set
        tables.write_all(answers, paths.answers(method), ANSWERS)


def _warn(warnings: list[str], run: runner.Run) -> None:
    """Print warnings that are new, and keep them with the costs."""
    known = run.cost.setdefault("warnings", [])
    known += (new := [warning for warning in dict.fromkeys(warnings) if warning not in known])
    print("".join(f"WARNING: {warning}\n" for warning in new), end="", file=sys.stderr)


if __name__ == "__main__":
    runner.start(main)
