"""Test records of the default world as prompts, for inference benchmarks."""

import dataclasses
import tempfile
from pathlib import Path
from typing import Any

import polars as pl

from bench.clone import ROOT
from kitrec.core import params
from kitrec.core.domains import KITREC
from kitrec.llm.generation.params import Method
from kitrec.llm.generation.requests import Request, requests_for
from kitrec.preprocessing.params import Candidates, Source, Users
from kitrec.prompts.params import Prompt
from kitrec.prompts.tokens import Encoder
from kitrec.sources.quarantine import Quarantine
from kitrec.synthetic.params import World
from stages.lib.sources import SourceConfig, load_synthetic

PARAMS = ROOT / "params.yaml"
HUNDRED = Candidates(count=100, same_category=40, neighbours=30, popularity_matched=29)
THINKING = Method(
    model="base", steps="single", thinking=True, answer_items=1, max_new_tokens=128, thinking_budget=None,
    temperature=0.0, top_p=1.0, top_k=0, structured_outputs=False,
)  # fmt: skip


def draw_records(count: int, *, hundred: bool = False) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Return `count` test records of all user types, and the items by id."""
    users = Users(train=20, preference=0, test=-(-count // 10), development_share=0.1, min_source_items=5, cut=False)
    candidates = HUNDRED if hundred else params.load(Candidates, "candidates", PARAMS)
    with tempfile.TemporaryDirectory() as work:
        source, world = params.load(Source, "source", PARAMS), params.load(World, "world", PARAMS)
        config = SourceConfig(
            7, KITREC, source, world, users, candidates, Path(work), Quarantine(), "records", quiet=True
        )
        data = load_synthetic(config)
    test = data.dataset.records["A"]["test"].sample(count, shuffle=True, seed=7)
    return test, {row["item_id"]: row for row in data.items.iter_rows(named=True)}


def requests_for_base(
    records: pl.DataFrame, items: dict[str, Any], encoder: Encoder, *, labels: bool = False
) -> list[Request]:
    """Return the requests of records for the base, which thinks before it answers."""
    longest = dataclasses.replace(params.load(Prompt, "prompt", PARAMS), max_length=3840, labels=labels)
    return requests_for(records, items, encoder, THINKING, longest)
