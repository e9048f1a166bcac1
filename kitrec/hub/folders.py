"""Folders to publish: rows of a data set with its card, an adapter with its card."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl

from kitrec.core import files, params, tables
from kitrec.core.domains import Domains
from kitrec.core.errors import InputError
from kitrec.hub.cards import data_card, model_card
from kitrec.hub.rows import to_rows
from kitrec.llm.finetuning.origins import is_foreign, read_origin
from kitrec.prompts.shown_items import Item
from kitrec.schemas.items import ITEMS
from kitrec.schemas.records import RECORDS

ROLES = {"val": ("preference",), "test": ("test",)}
SPLITS = {"val": "validation", "test": "test"}


def write_data_set(name: str, which: str, kind: str, root: Path, salt: bytes, folder: Path) -> int:
    """Write rows and card of a data set from the tables under `root`; return the number of rows."""
    source = root / "data/records" / f"set{which}"
    paths = [source / f"{role}.parquet" for role in ROLES.get(kind, ())]
    paths = paths or [source / kind.replace("_", "-") / f"{role}.parquet" for role in ("train", "development")]
    records = pl.concat([tables.read(path, RECORDS) for path in paths])
    split = SPLITS.get(kind, "train")
    domains = params.load(Domains, "domains", root / params.FILE)
    folder.mkdir(parents=True)
    with (folder / f"{split}.jsonl").open("w", encoding="utf-8") as stream:
        for row in to_rows(records, _items(root, records), salt, domains):
            files.append_json(row, stream)
    card = data_card(name, which, split, records, params.read(root / params.FILE), domains)
    (folder / "README.md").write_text(card, encoding="utf-8")
    return records.height


def write_model(name: str, which: str, kind: str, variant: str, root: Path, folder: Path) -> None:
    """Write adapter and card of a model trained on set `which`, from an experiment's files under `root`."""
    adapter = root / "models" / variant / kind.replace("_", "-")
    origin = read_origin(adapter)
    if is_foreign(origin):
        raise InputError(f"{adapter} was trained elsewhere: it is its authors' to publish")
    trained_on = origin["candidate_set"]
    if trained_on != which:
        raise InputError(f"{adapter} was trained on set {trained_on}, not {which}: name the experiment that trained it")
    folder.mkdir(parents=True)
    for path in adapter.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    base = files.read_json(root / "models/base/base.json")
    domains = params.load(Domains, "domains", root / params.FILE)
    card = model_card(name, which, kind, variant, base, _training(root, kind, variant), domains)
    (folder / "README.md").write_text(card, encoding="utf-8")


@contextmanager
def checkout(experiment: str | None) -> Iterator[Path]:
    """Yield the root of an experiment (a name or git revision), from git and DVC's cache; None is the workspace."""
    if experiment is None:
        yield Path()
        return
    from dvc.api import DVCFileSystem
    from dvc.exceptions import DvcException
    from scmrepo.exceptions import SCMError

    with TemporaryDirectory() as temporary:
        try:
            source = DVCFileSystem(".", rev=experiment)
            for name in ("params.yaml", "metrics/evaluate.json"):
                (Path(temporary) / name).parent.mkdir(exist_ok=True)
                source.get_file(name, str(Path(temporary) / name))
            for name in ("models", "plots/training"):
                source.get(name, str(Path(temporary) / name), recursive=True)
        except (DvcException, SCMError, FileNotFoundError) as problem:
            raise InputError(f"{experiment} is no complete experiment: {problem}; see `dvc exp show`") from None
        yield Path(temporary)


def _items(root: Path, records: pl.DataFrame) -> Mapping[str, Item]:
    shown = pl.concat([records[name].explode() for name in ("source_items", "target_items", "candidate_ids")])
    items = tables.read(root / "data/items.parquet", ITEMS).filter(pl.col("item_id").is_in(shown.unique().implode()))
    return {row["item_id"]: row for row in items.iter_rows(named=True)}


def _training(root: Path, kind: str, variant: str) -> dict[str, Any]:
    family, target = kind.split("_")
    curve = pl.read_csv(root / f"plots/training/{family}-{target}-{variant}/eval.csv")
    means = files.read_json(root / "metrics/evaluate.json")
    results = {f"{method} ({how})": row for method, kinds in means.items() for how, row in kinds.items()}
    return {"settings": params.read(root / params.FILE)[family], "curve": curve.rows(), "results": results}
