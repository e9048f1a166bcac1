"""Inputs of the report: metrics, curves and facts of the run in this folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
from scmrepo.git import Git

from kitrec.cli.repeats import REPEATS
from kitrec.cli.runs import WORKSPACE, fingerprint
from kitrec.core import files, params
from kitrec.core.domains import Domains
from kitrec.core.errors import InputError
from kitrec.llm.base.pinning import FILE, SERVED, read_pinned
from kitrec.llm.finetuning.origins import read_origin
from kitrec.llm.generation.params import Infer
from kitrec.preprocessing.params import Data
from kitrec.report import sections
from kitrec.report.headline import cut_note
from kitrec.report.page import Section


def test_records(means: pl.DataFrame) -> int:
    return int(means["n"].max())  # type: ignore[arg-type]  # a count


def student_times(means: pl.DataFrame) -> dict[str, dict[str, Any]]:
    """Return the timings of students that this run evaluated."""
    names = set(means["method"])
    return {pair: timing for pair, timing in metrics("metrics/time").items() if pair in names}


def trainings() -> list[Section]:
    """Return what `kitrec repeats` wrote, if it was of these params and this code."""
    if not REPEATS.is_file():
        return []
    repeats = files.read_json(REPEATS)
    return [sections.trainings(repeats)] if repeats["run"] == fingerprint(WORKSPACE) else []


def training_curves() -> dict[str, pl.DataFrame]:
    """Return name -> curve of training: step or epoch as `step`, series, value; a model without a loss has none."""
    curves = {}
    for path in sorted(Path("plots/training").glob("*.csv")):
        table = pl.read_csv(path)
        if "loss" not in table.columns:
            continue
        if "phase" in table.columns:  # rounds begin again with each phase
            table = table.drop("phase", "epoch").with_row_index("epoch", offset=1)
        curves[path.stem] = table.select(step=pl.first(), series=pl.lit("training"), value="loss", epoch=pl.first())
    for folder in sorted(path for path in Path("plots/training").glob("*") if path.is_dir()):
        parts = [
            pl.read_csv(folder / f"{name}.csv").select("step", series=pl.lit(series), value="loss")
            for name, series in (("train", "training"), ("eval", "development"))
            if (folder / f"{name}.csv").is_file()
        ]
        curves |= {folder.name: pl.concat(parts)} if parts else {}
    return curves


def metrics(folder: str) -> dict[str, dict[str, Any]]:
    return {path.stem: files.read_json(path) for path in sorted(Path(folder).glob("*.json"))}


def adapter_origins(methods: list[str]) -> dict[str, dict[str, dict[str, Any]]]:
    """Return method -> its adapters -> their origins, where the adapters lie here."""
    known, models = params.load(Infer, "infer").methods, params.load(Domains, "domains").models
    folders = {name: Path("models") / known[name].model for name in methods if name in known}
    return {
        method: {model: read_origin(folder / model) for model in models if (folder / model).is_dir()}
        for method, folder in folders.items()
    }


def confidence_errors(which: str) -> dict[str, dict[str, Any]]:
    """Return test set -> method -> its errors, the set of training first."""
    others = [f"set{other}" for other in params.value(Data, "data.test_sets") if other != which]
    names = {f"set{which}": "confidence", **dict.fromkeys(others, "confidence_other_set")}
    return {name: files.read_json(Path(f"metrics/{stem}.json")) for name, stem in names.items()}


def plot(name: str) -> pl.DataFrame:
    path = Path(f"plots/{name}.csv")
    if not path.exists():
        raise InputError(f"{path} is missing: `dvc repro analyse` writes it, or `dvc pull` fetches it")
    return pl.read_csv(path)


def run_facts(which: str, source: str, ledgers: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    git = Git(".")
    ledger = next(iter(ledgers.values()))
    return {
        "commit": git.get_rev() + (" with changes" if git.is_dirty() else ""),
        "data": f"{source}, candidate set {which}. {cut_note(Path('metrics/data.json'))}".removesuffix(". "),
        "base": " served as ".join(dict.fromkeys(read_pinned(path).path for path in (FILE, SERVED))),
        "machine": ", ".join(f"{name} {value}" for name, value in ledger["host"].items()),
        "versions": ", ".join(f"{name} {version}" for name, version in ledger["versions"].items()),
    }
