"""Where the stages put what they share; the same paths stand in dvc.yaml."""

from pathlib import Path

PARAMS_OK = Path("data/params.ok")
ITEMS = Path("data/items.parquet")
WORLD = Path("data/world")
RECORDS = Path("data/records")
INTERACTIONS = Path("data/interactions")
SCORES = Path("data/scores")


def model_records(which: str, model: str, role: str) -> Path:
    """Training or development records of one fine-tuned model."""
    return RECORDS / f"set{which}/{model}/{role}.parquet"


def set_records(which: str, role: str) -> Path:
    """Preference or test records of a candidate set."""
    return RECORDS / f"set{which}/{role}.parquet"


def interactions(role: str) -> Path:
    """The interactions of the users of a role."""
    return INTERACTIONS / f"{role}.parquet"


def adapter(family: str, target_variant: str) -> Path:
    """The folder of `dualft`, `movies-full`: adapters of one variant lie side by side."""
    target, variant = target_variant.split("-")
    return Path(f"models/{variant}/{family}-{target}")


def answers(method: str) -> Path:
    """Raw answers of a method: a table per test set."""
    return Path("data/answers") / method


def likelihoods(method: str) -> Path:
    """How likely a method finds every candidate: a table per test set."""
    return Path("data/likelihoods") / method


def rationales(method: str) -> Path:
    """Likelihoods of a method's rationales: a table per test set."""
    return Path("data/rationales") / method


def rankings(method: str) -> Path:
    """Rankings of a method: a table per test set."""
    return Path("data/rankings") / method


def routing(method: str) -> Path:
    """Adapters and missing vectors behind the rankings of a ThinkRec stage: a table per test set."""
    return Path("data/routing") / method


def of_set(folder: Path, which: str) -> Path:
    """The table of a test set in such a folder."""
    return folder / f"set{which}.parquet"
