"""Settings of the quality table of sequential recommenders: those of the papers, and those we recommend."""

from dataclasses import replace
from typing import Any

from kitrec.recommenders.models.params import BERT4Rec, Caser, GRU4Rec, Masking, Metadata, SASRec, SequenceModel
from kitrec.recommenders.params import Loss, SequenceMethod, TrainingConfig

FAST = {"precision": "16-mixed"}  # where all items are scored in every step: less than half the time
CE = Loss(kind="ce", negatives=0, calibration=0.0)
BCE = Loss(kind="bce", negatives=1, calibration=0.0)
BERT4REC_SIZES: dict[str, dict[str, Any]] = {  # by the number of users; conf/idrec holds them as profiles
    "small": {"hidden_size": 32, "heads": 2, "layers": 2, "max_length": 30},
    "medium": {"hidden_size": 64, "heads": 4, "layers": 3, "max_length": 50},
    "large": {"hidden_size": 128, "heads": 8, "layers": 4, "max_length": 200},
}
FEW, MANY = 10_000, 100_000  # users


def training_config(epochs: int, patience: int, **changed: object) -> TrainingConfig:
    values = {"mode": "standard", "epochs": epochs, "batch_size": 256, "learning_rate": 1e-3, "weight_decay": 0.0}
    values |= {
        "schedule": "constant",
        "warmup_ratio": 0.0,
        "patience": patience,
        "validate_every": 1,
        "metric": "ndcg@10",
        "precision": "32",
    }
    return TrainingConfig(**(values | changed))  # type: ignore[arg-type]


def sasrec(dropout: float, hidden: int = 64) -> SASRec:
    return SASRec(kind="sasrec", hidden_size=hidden, heads=2, layers=2, max_length=50, dropout=dropout)


def method(model: SequenceModel, loss: Loss, training: TrainingConfig) -> SequenceMethod:
    return SequenceMethod(history="target", model=model, loss=loss, training=training)


def bert4rec(dropout: float, random: float, last: float, features: list[str], fusion: str = "gate") -> BERT4Rec:
    return BERT4Rec(
        kind="bert4rec",
        hidden_size=64,
        heads=2,
        layers=2,
        max_length=50,
        dropout=dropout,
        share_embeddings=True,
        masking=Masking(random=random, last=last),
        metadata=Metadata(features=features, fusion=fusion, dropout=0.1),  # type: ignore[arg-type]
    )


SETTINGS: dict[str, SequenceMethod] = {
    # the paper's loss, one negative; the published table's own width is 64
    "sasrec_bce": method(sasrec(0.5, hidden=128), BCE, training_config(70, 20, schedule="cosine")),
    "sasrec_bce_long": method(
        sasrec(0.5, hidden=128), BCE, training_config(300, 100, schedule="cosine")
    ),  # about 1,000 users
    "sasrec_bce_64": method(sasrec(0.5), BCE, training_config(120, 40, schedule="cosine")),
    "sasrec_ce": method(sasrec(0.5), CE, training_config(200, 10, **FAST)),
    "sasrec_gbce": method(sasrec(0.5), Loss(kind="gbce", negatives=512, calibration=0.75), training_config(300, 20)),
    "bert4rec": method(bert4rec(0.2, 0.2, 0.05, []), CE, training_config(400, 20, **FAST)),
    "bert4rec_boost": method(bert4rec(0.3, 0.4, 0.3, []), CE, training_config(300, 20, **FAST)),
    "bert4rec_preset": method(
        bert4rec(0.2, 0.2, 0.05, []), CE, training_config(400, 20, **FAST)
    ),  # the size follows the users
    # genres and titles: one setting, three ways to fuse them
    **{
        f"bert4rec_{fusion}": method(
            bert4rec(0.3, 0.4, 0.3, ["genre", "title"], fusion), CE, training_config(300, 20, **FAST)
        )
        for fusion in ("gate", "add", "concat")
    },
    "gru4rec": method(
        GRU4Rec(kind="gru4rec", hidden_size=64, layers=1, max_length=50, dropout=0.5),
        CE,
        training_config(60, 20, schedule="cosine", **(FAST | {"learning_rate": 2e-3})),
    ),
    "caser": method(
        Caser(kind="caser", hidden_size=64, max_length=5, num_targets=3, horizontal=16, vertical=4, dropout=0.5),
        Loss(kind="bce", negatives=3, calibration=0.0),
        training_config(200, 10),
    ),
    "caser_ce": method(
        Caser(kind="caser", hidden_size=64, max_length=5, num_targets=1, horizontal=16, vertical=4, dropout=0.5),
        CE,
        training_config(200, 10, **FAST),
    ),
}


def bert4rec_size(users: int) -> str:
    """Return the size by the number of users: small below 10,000, large above 100,000."""
    return "small" if users < FEW else "medium" if users <= MANY else "large"


def setting(name: str, users: int) -> SequenceMethod:
    """Return a setting for data of that many users."""
    p = SETTINGS[name]
    if name != "bert4rec_preset":
        return p
    assert isinstance(p.model, BERT4Rec)
    return replace(p, model=replace(p.model, **BERT4REC_SIZES[bert4rec_size(users)]))
