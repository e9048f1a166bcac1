"""The same search for every method: as many settings, the best of them on the development users kept.

    trial 0   the method as its params say
    trial k   drawn around it:   learning rate x 10^U(-1, 1/2)     weight decay 10^U(-6, -3), or none in half of them
                                 dropout U(0, 0.6) where a model has one
              what is counted:   neighbours, shrink, penalty x 10^U(-1, 1)     rank x 10^U(-1, 0)
                                 alpha U(0.2, 1)     hops 1 to 3
A draw belongs to the seed, the method's name and k: more trials keep the earlier ones."""

import shutil
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from kitrec.core import files
from kitrec.core.errors import InputError
from kitrec.core.randomness import generator
from kitrec.recommenders import pair_learning as crossdomain
from kitrec.recommenders import sequence_learning
from kitrec.recommenders.params import NonParametricMethod, RankingMethod, SequenceMethod
from kitrec.recommenders.sequence_learning import Given, Outcome
from kitrec.recommenders.sequence_training import JUDGED_BY, Progress

SCALED = ("neighbours", "shrink", "rank", "penalty")
Tell = Callable[[Progress], None]


def learn_best(
    name: str, p: RankingMethod, trials: int, given: Given, told: Tell, to: Path
) -> tuple[Outcome, list[Any]]:
    """Store the best of so many trials; also what was tried, with how each was judged."""
    if trials == 1:
        only = _learn(p, given, told, to)
        return only, [{**_changed(p), JUDGED_BY: only.numbers.get(JUDGED_BY)}]
    tried = [p, *(_drawn(p, generator(given.seed, "idrec search", name, k)) for k in range(1, trials))]
    found = {}
    for number, own in enumerate(tried):
        work = given.work / str(number)
        try:
            found[number] = _learn(own, replace(given, work=work / "training"), told, work / "model")
        except InputError:  # a drawn setting that runs away loses; the method's own is the user's to mend
            if not number:
                raise
    judged = {number: own.numbers[JUDGED_BY] for number, own in found.items()}
    best = max(judged, key=lambda number: judged[number])
    with files.atomic(to) as draft:
        shutil.copytree(given.work / str(best) / "model", draft)
    return found[best], [{**_changed(own), JUDGED_BY: judged.get(number)} for number, own in enumerate(tried)]


def _learn(p: RankingMethod, given: Given, told: Tell, to: Path) -> Outcome:
    return (
        sequence_learning.learn(p, given, told, to)
        if isinstance(p, SequenceMethod)
        else crossdomain.learn(p, given, told, to)
    )


def _drawn(p: RankingMethod, rng: np.random.Generator) -> RankingMethod:
    model: Any = replace(p.model, **_model(p.model, rng))
    if isinstance(p, NonParametricMethod):
        return replace(p, model=model)
    rate = p.training.learning_rate * 10 ** rng.uniform(-1, 0.5)
    decay = 10 ** rng.uniform(-6, -3) if rng.random() < 0.5 else 0.0
    return replace(p, model=model, training=replace(p.training, learning_rate=_short(rate), weight_decay=_short(decay)))


def _model(model: Any, rng: np.random.Generator) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for own in fields(model):
        value = getattr(model, own.name)
        if own.name == "dropout":
            found[own.name] = _short(rng.uniform(0, 0.6))
        elif own.name in SCALED:
            drawn = value * 10 ** rng.uniform(-1, 1 if own.name != "rank" else 0)
            found[own.name] = max(round(drawn), 1) if isinstance(value, int) else _short(drawn)
        elif own.name == "alpha":
            found[own.name] = _short(rng.uniform(0.2, 1))
        elif own.name == "hops":
            found[own.name] = int(rng.integers(1, 4))
    return found


def _short(value: float) -> float:
    """Three digits: what was tried can be written down."""
    return float(f"{value:.3g}")


def _changed(p: RankingMethod) -> dict[str, Any]:
    names = ("dropout", *SCALED, "alpha", "hops")
    told = {name: getattr(p.model, name) for name in names if hasattr(p.model, name)}
    if not isinstance(p, NonParametricMethod):
        told |= {"learning_rate": p.training.learning_rate, "weight_decay": p.training.weight_decay}
    return told
