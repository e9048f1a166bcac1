"""The disk that the chosen params need, part by part, in GiB: what `kitrec doctor` demands.

Sizes of adapters go by the reference: 513 MB of an adapter of rank 32 of Qwen3-14B, and a base of P parameters has
matrices of P^(2/3) of its widths; a checkpoint holds the adapter and two moments of its optimizer."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kitrec.llm.base.params import Base, BaseWithServed
from kitrec.preprocessing.params import Source

GIB = 2**30
REFERENCE_ADAPTER, REFERENCE_PARAMETERS = 513e6, 14.8e9  # rank 32, float32
DEFAULT_PARAMETERS = 15e9  # of a hub base whose name tells no size
CHECKPOINT = 3  # times the adapter
COPIES = 2  # of an adapter: in the folder and in DVC's cache, where the disk shares no blocks between files
RECORD = 20e3  # bytes of a training or test record in one set: prompt parts, taught answer
ANSWER = 8e3  # of an answer of a real thought with its likelihoods and rankings
SERVED_BYTES = 1.1  # of a parameter of a quantised copy: 8 bits with their scales, or less
WORKING_GIB = 4.0  # libraries' caches, plots, the report, room to write anew before the old is removed
OTHER_RECORDS = 60_000  # of hub and files: the published sets (12,000 and 3,000 to learn from, 30,000 to test on)


def disk_plan(s: Mapping[str, Any], base_is_cached: bool, served_is_cached: bool = True) -> dict[str, float]:
    """Return part -> GiB that is still to be written by a run from nothing."""
    base: BaseWithServed = s["base"]
    parameters = parameter_count(base)
    ranks = [s["dualft"].lora_rank, s["singleft"].lora_rank]
    adapters = [
        adapter_bytes(parameters, rank) for rank in ranks for _ in s["train"].targets for _ in s["train"].variants
    ]
    limits = (s["dualft"].save_total_limit, s["singleft"].save_total_limit)
    checkpoints = [
        (limit + 1) * CHECKPOINT * adapter_bytes(parameters, rank) for limit, rank in zip(limits, ranks, strict=True)
    ]
    records, tests = _records(s)
    return {
        "base": 0.0 if base.is_local or base_is_cached else 2 * parameters / GIB,
        "served copy": 0.0 if base.serving.is_local or served_is_cached else SERVED_BYTES * parameters / GIB,
        "adapters": COPIES * sum(adapters) / GIB,
        "checkpoints": max(checkpoints) / GIB,  # of one training: they go when its stage ends
        "data": COPIES * 2 * records * RECORD / GIB,
        "answers": COPIES * len(s["data"].test_sets) * tests * len(s["infer"].methods) * ANSWER / GIB,
        "working space": WORKING_GIB,
    }


def parameter_count(base: Base) -> float:
    """Return the parameters of the base: from its files, or by its name (Qwen3-14B)."""
    if base.is_local:
        return sum(path.stat().st_size for path in Path(base.path).glob("*.safetensors")) / 2
    named = re.search(r"(\d+(?:\.\d+)?)[bB]\b", base.path)
    return float(named[1]) * 1.06e9 if named else DEFAULT_PARAMETERS


def adapter_bytes(parameters: float, rank: int) -> float:
    """Return the bytes of an adapter of this rank."""
    return float(REFERENCE_ADAPTER * rank / 32 * (parameters / REFERENCE_PARAMETERS) ** (2 / 3))


def _records(s: Mapping[str, Any]) -> tuple[int, int]:
    """Return the numbers of all records and of test records in one set."""
    source: Source = s["source"]
    if source.kind in ("hub", "kitrec"):
        return OTHER_RECORDS, OTHER_RECORDS // 2
    types = 10  # user types
    users = s["users"]
    return types * (users.train + users.preference + users.test), types * users.test
