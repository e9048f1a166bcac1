"""Measured speeds by card, for `kitrec plan`: what nobody measured is not here.

Those of `cpu` are of bench/results (two cores of an x86_64; tests hold them to the files), those of `a100` of the
published run. `make bench-train-gpu` on a card writes bench/results/train_gpu.json, which is read where it is there.
Speeds of an LLM belong to bases of about the size that was measured: time grows with the parameters, the share of
everything else does not."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from kitrec.cli.disk_plan import REFERENCE_PARAMETERS
from kitrec.cli.stage_work import Unit
from kitrec.core import files

TRAIN_GPU = Path("bench/results/train_gpu.json")
LLM_UNITS: tuple[Unit, ...] = ("trained", "read", "written", "scored")
SIMILAR = 4.0  # times larger or smaller: further away nothing is extrapolated
TINY_PARAMETERS = 2.37e6


@dataclass(frozen=True)
class Rate:
    """Units per second, and where they were measured."""

    per_second: float
    source: str


@dataclass(frozen=True)
class Card:
    """A device: its memory, what was measured on it, and seconds that a stage takes before it does anything."""

    memory_gib: float | None  # None: that of this machine
    parameters: float  # of the base that LLM rates belong to
    rates: Mapping[Unit, Rate] = field(default_factory=dict)
    included: frozenset[Unit] = frozenset()  # units whose time is part of other rates
    starts: Mapping[str, float] = field(default_factory=dict)  # stage -> seconds; "" of all others


def _bench(name: str) -> str:
    return f"bench {name}"


HOST: dict[Unit, Rate] = {  # of stages that use no card, on two cores
    "made": Rate(926.8, _bench("pipeline") + ": prepare, less its start"),
    "lines": Rate(1345.5, _bench("prepare") + ": JSONL read, checked and audited"),
    "reviews": Rate(172_133, _bench("prepare") + ": 5.1 M reviews to both sets"),
}
LIGHT = dict.fromkeys(("prepare", "parse_answers", "rank_references", "evaluate", "analyse"), 1.25)  # parse_answers'
CPU = Card(
    memory_gib=None,
    parameters=TINY_PARAMETERS,
    rates={
        **HOST,
        "trained": Rate(7154, _bench("pipeline") + ": four stages, 1,903,058 tokens, evaluations and starts in it"),
        "written": Rate(1402.5, _bench("infer") + ": the tiny base by the engine, prompts included"),
        "scored": Rate(48.65, _bench("infer") + ": 100 candidates by the tree"),
        "sasrec": Rate(9743, _bench("seqrec")),
        "bert4rec": Rate(3998, _bench("seqrec")),
    },
    included=frozenset({"read"}),
    starts={**LIGHT, "infer_vllm": 12.5, "": 1.25},  # base_direct of the pipeline, less its 33,742 tokens
)
REFERENCE = Rate(1125, "published run, Qwen3-14B in NF4, rank 32")
CARDS = {
    "cpu": CPU,
    "a100": Card(80.0, REFERENCE_PARAMETERS, {**HOST, "trained": REFERENCE}, starts=LIGHT),
    "h100": Card(80.0, REFERENCE_PARAMETERS, HOST, starts=LIGHT),
    "rtx5090": Card(32.0, REFERENCE_PARAMETERS, HOST, starts=LIGHT),
}


def measured_card(name: str, results: Path = TRAIN_GPU) -> Card:
    """Return a card with what a benchmark on it has measured since."""
    card = CARDS[name]
    if name == "cpu" or not results.is_file():
        return card
    for title, rows in files.read_json(results)["details"].items():
        if name in title.lower().replace(" ", ""):
            rate = Rate(rows[0]["tokens_per_second"], f"{_bench('train_gpu')}: {title}")
            return replace(card, rates={**card.rates, "trained": rate})
    return card


def rate_for(card: Card, unit: Unit, parameters: float) -> Rate | None:
    """Return the rate of a unit with a base of so many parameters, or None where nothing near was measured."""
    rate = card.rates.get(unit)
    if rate is None or unit not in LLM_UNITS:
        return rate
    slower = parameters / card.parameters
    if not 1 / SIMILAR <= slower <= SIMILAR:
        return None
    scaled = "" if abs(slower - 1) < 0.1 else f", scaled by {slower:.2g} x the parameters"
    return Rate(rate.per_second / slower, rate.source + scaled)
