"""The settings of a random search, the same for every method; kitrec/recommenders/train.py trains them.

    trial 0   the method as its params say
    trial k   drawn around it:   learning rate x 10^U(-1, 1/2)     weight decay 10^U(-6, -3), or none in half of them
                                 dropout U(0, 0.6) where a model has one
              non-parametric:    neighbours, shrink, penalty x 10^U(-1, 1)     rank x 10^U(-1, 0)
                                 alpha U(0.2, 1)     hops 1 to 3
A draw depends on the seed, the method's name and k alone: more trials keep the earlier ones."""

from dataclasses import fields, replace
from typing import Any

import numpy as np

from kitrec.core.randomness import generator
from kitrec.recommenders.params import NonParametricMethod, RankingMethod

SCALED = ("neighbours", "shrink", "rank", "penalty")


def drawn_setting(p: RankingMethod, name: str, seed: int, trial: int) -> RankingMethod:
    """Return the setting of a trial from 1 on."""
    return draw_around(p, generator(seed, "idrec search", name, trial))


def draw_around(p: RankingMethod, rng: np.random.Generator) -> RankingMethod:
    """Draw a random setting around a method's own."""
    model: Any = replace(p.model, **_drawn_model_values(p.model, rng))
    if isinstance(p, NonParametricMethod):
        return replace(p, model=model)
    rate = p.training.learning_rate * 10 ** rng.uniform(-1, 0.5)
    decay = 10 ** rng.uniform(-6, -3) if rng.random() < 0.5 else 0.0
    training = replace(p.training, learning_rate=_rounded(rate), weight_decay=_rounded(decay))
    return replace(p, model=model, training=training)


def searched_values(p: RankingMethod) -> dict[str, Any]:
    """Return the values of a setting that the search varies."""
    names = ("dropout", *SCALED, "alpha", "hops")
    values = {name: getattr(p.model, name) for name in names if hasattr(p.model, name)}
    if not isinstance(p, NonParametricMethod):
        values |= {"learning_rate": p.training.learning_rate, "weight_decay": p.training.weight_decay}
    return values


def _drawn_model_values(model: Any, rng: np.random.Generator) -> dict[str, Any]:
    drawn: dict[str, Any] = {}
    for field in fields(model):
        value = getattr(model, field.name)
        if field.name == "dropout":
            drawn[field.name] = _rounded(rng.uniform(0, 0.6))
        elif field.name in SCALED:
            scaled = value * 10 ** rng.uniform(-1, 1 if field.name != "rank" else 0)
            drawn[field.name] = max(round(scaled), 1) if isinstance(value, int) else _rounded(scaled)
        elif field.name == "alpha":
            drawn[field.name] = _rounded(rng.uniform(0.2, 1))
        elif field.name == "hops":
            drawn[field.name] = int(rng.integers(1, 4))
    return drawn


def _rounded(value: float) -> float:
    """Round to three digits, so that a trial can be written down exactly."""
    return float(f"{value:.3g}")
