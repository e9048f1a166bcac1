"""Settings of the quality table of cross-domain baselines: equal budgets, the papers' shapes or the reference ones."""

from dataclasses import asdict
from typing import Any

from kitrec.recommenders.models.params import (
    BPRMF,
    DTCDR,
    EASE,
    SSCDR,
    CoNet,
    CrossDomainModel,
    ItemKNN,
    NonParametricModel,
    Popularity,
    RandomWalk,
)
from kitrec.recommenders.params import TrainingConfig


def training_config(epochs: int = 50, patience: int = 5, rate: float = 1e-3) -> TrainingConfig:
    """Return the training budget of every learned method."""
    return TrainingConfig(
        mode="standard",
        epochs=epochs,
        batch_size=256,
        learning_rate=rate,
        weight_decay=1e-4,
        schedule="constant",
        warmup_ratio=0.0,
        patience=patience,
        validate_every=1,
        metric="ndcg@10",
        precision="32",
    )


def conet(sparsity: float = 0.0, hidden: int = 32, first: int = 32) -> CoNet:
    """Return CoNet with the paper's width and its halving tower."""
    return CoNet(
        kind="conet", hidden_size=hidden, layers=[first, first // 2, first // 4], sparsity=sparsity, negatives=4
    )


def dtcdr(*, titles: bool) -> DTCDR:
    return DTCDR(
        kind="dtcdr",
        hidden_size=64,
        layers=[128, 64],
        rating="neumf",
        combination="max",
        titles=titles,
        target_weight=0.5,
        negatives=4,
    )


LEARNED: dict[str, CrossDomainModel] = {
    "conet": conet(),
    "conet_large": conet(hidden=128, first=256),  # the shape of today's references, four times as wide
    "sconet": conet(sparsity=1e-4),
    "dtcdr": dtcdr(titles=False),
    "dtcdr_titles": dtcdr(titles=True),
    "sscdr": SSCDR(kind="sscdr", hidden_size=64, margin=0.5, supervised=1.0, unsupervised=1.0, negatives=4),
    "bpr_mf": BPRMF(kind="bpr_mf", hidden_size=64, negatives=4),
}
COUNTED: dict[str, NonParametricModel] = {
    "popularity": Popularity(kind="popularity"),
    "item_knn": ItemKNN(kind="item_knn", neighbours=200, shrink=10.0),
    "random_walk": RandomWalk(kind="random_walk", alpha=0.5, hops=2),
    "ease": EASE(kind="ease", rank=1024, penalty=100.0),
}
FORMS = ("paper", "history")
SETTINGS = [*(f"{name}_{form}" for name in LEARNED for form in FORMS), *COUNTED]


def of(setting: str) -> tuple[CrossDomainModel | NonParametricModel, bool]:
    """Return the model of a setting, and whether it embeds users by number (the paper's form)."""
    name, _, form = setting.rpartition("_")
    return (LEARNED[name], form == "paper") if name in LEARNED else (COUNTED[setting], False)


def kept_setting(name: str) -> dict[str, Any]:
    """Return a setting in the form that is kept with its runs."""
    return {"model": asdict(of(name)[0]), "training": asdict(training_config())}
