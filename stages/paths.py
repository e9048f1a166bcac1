"""Where the stages put what they share; the same paths stand in dvc.yaml."""

from pathlib import Path

PARAMS_OK = Path("data/params.ok")
ITEMS = Path("data/items.parquet")
WORLD = Path("data/world")


def model_records(which: str, model: str, role: str) -> Path:
    """Training or development records of one fine-tuned model."""
    return Path(f"data/records/set{which}/{model}/{role}.parquet")


def set_records(which: str, role: str) -> Path:
    """Preference or test records of a candidate set."""
    return Path(f"data/records/set{which}/{role}.parquet")


def interactions(role: str) -> Path:
    """The interactions of the users of a role."""
    return Path(f"data/interactions/{role}.parquet")


def adapter(family: str, target_variant: str) -> Path:
    """The folder of `dualft`, `movies-full`: adapters of one variant lie side by side."""
    target, variant = target_variant.split("-")
    return Path(f"models/{variant}/{family}-{target}")


def answers(method: str, which: str) -> Path:
    """Raw answers of a method on a test set."""
    return Path(f"data/answers/{method}/set{which}.parquet")


def rankings(method: str, which: str) -> Path:
    """Rankings of a method on a test set."""
    return Path(f"data/rankings/{method}/set{which}.parquet")


def scores(which: str) -> Path:
    """Every user's scores on a test set, all methods."""
    return Path(f"data/scores/set{which}.parquet")
