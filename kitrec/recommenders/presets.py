"""How large a BERT4Rec is for so many users; conf/idrec holds the same sizes as profiles."""

from dataclasses import replace

from kitrec.recommenders.models.params import BERT4Rec

SIZES = {
    "small": {"hidden_size": 32, "heads": 2, "layers": 2, "max_length": 30},
    "medium": {"hidden_size": 64, "heads": 4, "layers": 3, "max_length": 50},
    "large": {"hidden_size": 128, "heads": 8, "layers": 4, "max_length": 200},
}
FEW, MANY = 10_000, 100_000


def preset(users: int) -> str:
    """The size for so many users: small below 10,000, large above 100,000."""
    return "small" if users < FEW else "medium" if users <= MANY else "large"


def sized(model: BERT4Rec, users: int) -> BERT4Rec:
    """The model in the size for so many users."""
    return replace(model, **SIZES[preset(users)])  # type: ignore[arg-type]
