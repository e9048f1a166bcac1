"""Scores from the same weights that answer: through transformers where these are whole, else through the engine."""

from collections.abc import Mapping
from pathlib import Path

from kitrec.llm.base.loading import load_for_serving
from kitrec.llm.base.memory_plan import check_scoring
from kitrec.llm.base.pinning import PinnedBase
from kitrec.llm.base.precision import compute_dtype
from kitrec.llm.base.shape import quantisation_name
from kitrec.llm.finetuning.adapters import check_adapter
from kitrec.llm.generation.params import Engine
from kitrec.llm.generation.vllm_engine import VllmEngine
from kitrec.llm.likelihood.candidates import Score, Scorer


def served_weights(base: PinnedBase, engine: Engine) -> str:
    """Return the name of the weights that answer: the base's own quantisation, the engine's, or its dtype."""
    stored = quantisation_name(base)
    return stored or (engine.dtype if engine.quantization == "none" else engine.quantization)


def scores_through_engine(base: PinnedBase, engine: Engine) -> bool:
    """Whether only the engine can load the weights that answer: it quantises them, or spreads them over GPUs."""
    return served_weights(base, engine) != engine.dtype or engine.tensor_parallel_size > 1


def load_scorer(base: PinnedBase, engine: Engine, adapters: Mapping[str, Path]) -> Score:
    """Return a function that scores by the weights that answer, after a check that they fit the device."""
    if scores_through_engine(base, engine):
        return VllmEngine(base, engine, dict(adapters), seed=0, quiet=True).likelihoods
    ranks = [check_adapter(folder, base)["r"] for folder in adapters.values()]
    check_scoring(base, compute_dtype(engine.dtype), len(adapters), max(ranks, default=0))
    return Scorer(load_for_serving(base, engine.dtype), base, adapters).score
