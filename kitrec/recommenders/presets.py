"""Sizes of BERT4Rec by the number of users; conf/idrec holds the same sizes as profiles."""

from dataclasses import replace

from kitrec.recommenders.params import BERT4Rec

SIZES = {
    "small": {"hidden": 32, "heads": 2, "layers": 2, "length": 30},
    "medium": {"hidden": 64, "heads": 4, "layers": 3, "length": 50},
    "large": {"hidden": 128, "heads": 8, "layers": 4, "length": 200},
}
FEW, MANY = 10_000, 100_000


def preset(users: int) -> str:
    """The size by the number of users: small below 10,000, large above 100,000."""
    return "small" if users < FEW else "medium" if users <= MANY else "large"


def sized(model: BERT4Rec, users: int) -> BERT4Rec:
    """The model in the size for this many users."""
    return replace(model, **SIZES[preset(users)])  # type: ignore[arg-type]
