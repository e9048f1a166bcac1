"""The seed of trainings, which may differ from that of the data: other trainings on the same users and candidates."""

from kitrec.core import params


def training_seed() -> int:
    """Return `training_seed`, or `seed` where it is null."""
    if params.read().get("training_seed") is None:
        return params.load(int, "seed")
    return params.load(int, "training_seed")
