"""Paths that several stages use; dvc.yaml names the same ones."""

from pathlib import Path

from kitrec.core.domains import Domains

PARAMS_OK = Path("data/params.ok")
ITEMS = Path("data/items.parquet")
WORLD = Path("data/world")
RECORDS = Path("data/records")
INTERACTIONS = Path("data/interactions")
SCORES = Path("data/scores")
PREFERENCES = Path("data/preferences")
THINKREC = Path("data/thinkrec")
MODELS = Path("models")


def model_records(which: str, model: str, role: str) -> Path:
    """Return the training or development records of a fine-tuned model."""
    return RECORDS / f"set{which}/{model}/{role}.parquet"


def set_records(which: str, role: str) -> Path:
    """Return the preference, development or test records of a candidate set."""
    return RECORDS / f"set{which}/{role}.parquet"


def interactions(role: str) -> Path:
    """Return the interactions of the users of a role."""
    return INTERACTIONS / f"{role}.parquet"


def adapter(family: str, target_variant: str) -> Path:
    """Return the folder of an adapter such as `dualft`, `movies-full`; adapters of a variant share a folder."""
    target, variant = target_variant.split("-")
    return MODELS / variant / f"{family}-{target}"


def adapters(variant: str, domains: Domains) -> dict[str, Path]:
    """Return the adapter of every fine-tuned model of a variant; the base has none."""
    return {} if variant == "base" else {name: MODELS / variant / name for name in domains.models}


def recommender(method: str) -> Path:
    """Return the folder of a trained recommender over item ids."""
    return Path("data/idrec") / method


def title_model(method: str) -> Path:
    """Return the folder of a model that knows items by their titles."""
    return Path("data/titles") / method


def ilora_teacher(method: str) -> Path:
    """Return the folder of the iLoRA teacher whose gate reads the user embeddings of `method`."""
    return Path("data/ilora") / method


def teacher(name: str) -> Path:
    """Return the folder of a teacher's lists and item vectors."""
    return Path("data/teachers") / name


def student(name: str) -> Path:
    """Return the folder of a student, one model per seed; a distilled one is named `<student>-<teacher>`."""
    return Path("data/students") / name


def answers(method: str) -> Path:
    """Return the folder of a method's raw answers, a table per test set."""
    return Path("data/answers") / method


def likelihoods(method: str) -> Path:
    """Return the folder of a method's likelihoods of all candidates, a table per test set."""
    return Path("data/likelihoods") / method


def rationales(method: str) -> Path:
    """Return the folder of the likelihoods of a method's rationales, a table per test set."""
    return Path("data/rationales") / method


def rankings(method: str) -> Path:
    """Return the folder of a method's rankings, a table per test set."""
    return Path("data/rankings") / method


def development_rankings(method: str) -> Path:
    """Return the folder of a method's rankings of the development records, a table per candidate set."""
    return Path("data/development_rankings") / method


def memory(base: str) -> Path:
    """Return the table of what a base writes where a title or a history breaks off."""
    return Path("data/memory") / f"{base}.parquet"


def routing(method: str) -> Path:
    """Return the folder of the adapters and missing vectors behind a ThinkRec stage's rankings."""
    return Path("data/routing") / method


def of_set(folder: Path, which: str) -> Path:
    """Return the table of a test set in such a folder."""
    return folder / f"set{which}.parquet"
