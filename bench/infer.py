"""Cost of inference: the pipeline's engine and scoring against common alternatives.   make bench-infer

Each side runs in its own process, one after another. Writing: 1,000 records of the default world on the tiny base,
and 128 on a base of some 40 million random weights; the peers get fewer records, and rates are compared. Scoring: 100
candidates a record. Greedy, bf16."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoTokenizer, Qwen3Config, Qwen3ForCausalLM

from bench.claims import at_least, at_most, publish
from bench.clone import ROOT
from bench.infer_sides import run_side
from kitrec.core import files, params
from kitrec.llm.base.loading import load_for_serving
from kitrec.llm.base.params import Base
from kitrec.llm.base.pinning import PinnedBase, pin
from kitrec.llm.finetuning.arguments import with_lora
from kitrec.llm.finetuning.params import FineTune

COMMAND = "make bench-infer"
TINY = ROOT / "base" / "tiny-qwen3"


def main() -> None:
    """Run all sides and compare them."""
    with tempfile.TemporaryDirectory() as folder:
        forty = _forty_million(Path(folder) / "forty")
        four = _adapters(Path(folder))
        written = {
            "tiny": _written(TINY, {"by_engine": (1000,), "loop": (48, 1), "batched": (256, 32)}),
            "40 M": _written(forty, {"by_engine": (128,), "loop": (8, 1), "batched": (64, 16)}),
        }
        several = _side("adapters", TINY, 400, [str(path) for path in four])
        repeated, small = _side("repeated", TINY, 200), _side("small_batches", TINY, 200)
        tree, separate, engine = (
            _side("by_tree", TINY, 64),
            _side("separately", TINY, 8),
            _side("engine_scores", TINY, 8),
        )
    differing = float(np.mean([a != b for a, b in zip(repeated["texts"], small["texts"], strict=True)]))
    publish(
        "infer",
        _claims(written, several, repeated["equal"], tree, separate, engine),
        _details(written, differing, tree, engine),
    )


def _written(base: Path, sides: dict[str, tuple[int, ...]]) -> dict[str, dict[str, Any]]:
    return {
        side: _side("by_engine" if side == "by_engine" else "by_generate", base, *more) for side, more in sides.items()
    }


def _rate(run: dict[str, Any]) -> float:
    return run["records"] / run["seconds"]


def _faster(runs: dict[str, dict[str, Any]], side: str) -> float:
    return _rate(runs["by_engine"]) / _rate(runs[side])


def _claims(written: Any, several: Any, equal: float, tree: Any, separate: Any, engine: Any) -> list[Any]:
    ids, labels = (min(tree[name]["scored"]) / min(tree[name]["floor"]) for name in ("ids", "labels"))
    return [
        *(
            at_least(f"records per second, {name}", _faster(runs, side), bar, "x", COMMAND, peer=peer)
            for name, runs in written.items()
            for side, bar, peer in (
                ("loop", 10, "generate, one prompt at a time"),
                ("batched", 3, "generate in batches"),
            )
        ),
        at_most("four adapters against one", several["several"] / several["one"], 1.3, "x", COMMAND, peer="one adapter",
                repeats=2),
        at_most("100 candidates by the tree", ids, 2, "x", COMMAND, peer="a forward over the prompts", repeats=3),
        at_most("100 candidates by labels", labels, 1.1, "x", COMMAND, peer="a forward over the prompts", repeats=3),
        at_least("100 candidates by the tree, speed", separate["seconds"] / separate["tree"], 20, "x", COMMAND,
                 peer="100 separate forwards"),
        at_least("100 candidates by the engine, speed", engine["uncached"] / engine["cached"], 2.5, "x", COMMAND,
                 peer="the engine without its cache"),
        at_least("greedy texts equal in two runs", equal, 1, "", COMMAND),
    ]  # fmt: skip


def _details(written: Any, differing: float, tree: Any, engine: Any) -> dict[str, Any]:
    rows = [
        {"base": base, "side": side, **run, "records_per_second": round(_rate(run), 2)}
        for base, runs in written.items()
        for side, run in runs.items()
    ]
    per_record = min(tree["ids"]["scored"]) / tree["records"]
    return {
        "Writing": rows,
        "Scoring 100 candidates": [
            {
                "what": "tree, share of what writing costs",
                "value": per_record / (engine["written"] / engine["records"]),
            },
            {"what": "engine, share of what writing costs", "value": engine["cached"] / engine["written"]},
            {"what": "texts that differ between batches of 64 and of 8", "value": differing},
        ],
    }


def _side(name: str, base: Path, *more: Any) -> dict[str, Any]:
    """Run one side in its own process."""
    command = [sys.executable, "-m", "bench.infer", name, str(base), json.dumps(more)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(name, base.name, {key: value for key, value in result.items() if key != "texts"}, flush=True)
    return result


def _forty_million(folder: Path) -> Path:
    """Write a base with the tiny base's vocabulary and random weights."""
    torch.manual_seed(1)
    tokenizer = AutoTokenizer.from_pretrained(TINY)
    config = Qwen3Config(
        vocab_size=json.loads((TINY / "config.json").read_text())["vocab_size"],
        hidden_size=512,
        intermediate_size=1536,
        num_hidden_layers=12,
        num_attention_heads=8,
        num_key_value_heads=4,
        head_dim=64,
        max_position_embeddings=8192,
        tie_word_embeddings=True,
        dtype="bfloat16",
        eos_token_id=tokenizer.eos_token_id,
    )
    Qwen3ForCausalLM(config).bfloat16().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _adapters(folder: Path) -> list[Path]:
    """Write four adapters of the default rank with different weights."""
    base = _pinned(TINY)
    settings = params.load(FineTune, "dualft", ROOT / "params.yaml")
    for seed in range(4):
        torch.manual_seed(seed)
        model = with_lora(load_for_serving(base, "float32"), settings)
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.data.normal_(std=0.01)
        model.save_pretrained(str(folder / f"adapter-{seed}"))
        files.write_json({"base": base.fingerprint}, folder / f"adapter-{seed}" / "origin.json")
    return [folder / f"adapter-{seed}" for seed in range(4)]


def _pinned(base: Path) -> PinnedBase:
    return pin(Base(path=str(base), revision=None))


if __name__ == "__main__":
    if len(sys.argv) == 4:
        arguments = json.loads(sys.argv[3])
        run_side(sys.argv[1], _pinned(Path(sys.argv[2])), *arguments)
    elif len(sys.argv) == 1:
        main()
    else:
        print(__doc__)
        sys.exit(0 if sys.argv[1:] in (["-h"], ["--help"]) else 2)
