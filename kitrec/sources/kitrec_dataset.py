"""KitREC's files as a data set: the roles of its users, and the interactions its prompts show.

The prompts do not tell when something was met, only in which order; `time` is made to say no more than that."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from kitrec.core.domains import SETS, SOURCE
from kitrec.core.errors import InputError
from kitrec.preprocessing.dataset import ROLES, Dataset
from kitrec.preprocessing.users import split_training
from kitrec.schemas.items import ITEMS
from kitrec.schemas.split_interactions import SPLIT_INTERACTIONS
from kitrec.sources.kitrec_jsonl import load
from kitrec.sources.quarantine import Quarantine

GROUPS = {"training": True, "preference": False, "test": False}  # file group -> does the teacher's output belong there?
Files = Mapping[tuple[str, str], Sequence[Path]]
STEP = 1_000_000  # between two books: room for the target items of any record
_FORMS = {"training": ("train", "by_model/*"), "preference": ("val",), "test": ("test",)}


@dataclass(frozen=True)
class Given:
    """A data set as its authors made it, and the items it shows."""

    dataset: Dataset
    items: pl.DataFrame

    def interactions(self) -> pl.DataFrame:
        """All that is known of its users: what their prompts show, and the held-out items."""
        return pl.concat(list(self.dataset.interactions.values())).unique(["user_id", "item_id"], maintain_order=True)


def files_in(folder: Path) -> dict[tuple[str, str], list[Path]]:
    """(set, group) -> files of `folder`: setA/train.jsonl or setA/by_model/*.jsonl, setA/val.jsonl, setA/test.jsonl."""
    found = {(which, group): _files(folder / f"set{which}", group) for which in SETS for group in GROUPS}
    missing = [f"set{which}/{_FORMS[group][0]}.jsonl" for (which, group), paths in found.items() if not paths]
    if missing:
        raise InputError(f"{folder} lacks {', '.join(missing)} (or .parquet): raw/README.md says what belongs there")
    return found


def _files(folder: Path, group: str) -> list[Path]:
    for form in _FORMS[group]:
        if paths := sorted(p for p in folder.glob(f"{form}.*") if p.suffix in (".jsonl", ".parquet")):
            return paths
    return []


def load_dataset(
    files: Files, seed: int, development_share: float, candidates: int, quarantine: Quarantine, *, quiet: bool
) -> Given:
    """Both sets by role; a training user is on the same side of the 90/10 split in both."""
    loaded = {
        (which, group): load(paths, which, candidates, quarantine, taught=GROUPS[group], quiet=quiet)
        for (which, group), paths in files.items()
    }
    empty = [f"set {which}, {group}" for (which, group), part in loaded.items() if not part.records.height]
    if empty:
        raise InputError(f"no usable row in {'; '.join(empty)}: {quarantine.reasons()}")
    side = _sides(seed, development_share, [loaded[which, "training"].records for which in SETS])
    records = {
        which: {
            **_split(loaded[which, "training"].records, side),
            "preference": loaded[which, "preference"].records,
            "test": loaded[which, "test"].records,
        }
        for which in SETS
    }
    every = pl.concat([part.items for part in loaded.values()])
    items = every.sort("has_metadata", descending=True, maintain_order=True).unique("item_id", keep="first")
    return Given(dataset_from_records(records), items.sort("domain", "item_id").select(*ITEMS.columns))


def dataset_from_records(records: dict[str, dict[str, pl.DataFrame]]) -> Dataset:
    """The records with the interactions they show."""
    interactions = {role: _shown([own[role] for own in records.values()]) for role in ROLES}
    trained = pl.concat([interactions["train"], interactions["development"]])
    past = trained.filter(~pl.col("held_out")).select("user_id", "item_id").unique(maintain_order=True)
    return Dataset(records, interactions, past)


def _sides(seed: int, development_share: float, training: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """(user_type, user_id, development?) of all training users of both sets."""
    users = pl.concat([records.select("user_type", "user_id") for records in training]).unique().sort("user_id")
    kinds = {
        kind: users.filter(pl.col("user_type") == kind)["user_id"].to_list() for kind in sorted(set(users["user_type"]))
    }
    split = split_training(seed, kinds, development_share)
    rows = [(kind, user, role) for kind, groups in split.items() for role, ids in groups.items() for user in ids]
    return pl.DataFrame(rows, schema=["user_type", "user_id", "role"], orient="row")


def _split(training: pl.DataFrame, side: pl.DataFrame) -> dict[str, pl.DataFrame]:
    marked = training.join(side, on=["user_type", "user_id"], how="left", maintain_order="left")
    return {role: marked.filter(pl.col("role") == role).drop("role") for role in ("train", "development")}


def _shown(records: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """What the records show, each (user, item) once: the first meeting, never after having been held out.

    The files have no times. Books count in the order of their list, a record's target items come after its last book
    and before any book that only the user's other record shows."""
    every = pl.concat(records).unique(["user_id", "target"], maintain_order=True)
    rows = []
    for r in every.iter_rows(named=True):
        listed = [(SOURCE, item, stars) for item, stars in zip(r["source_items"], r["source_ratings"], strict=True)]
        listed += [
            (r["target"], item, stars) for item, stars in zip(r["target_items"], r["target_ratings"], strict=True)
        ]
        listed += [(r["target"], r["gt_item_id"], r["gt_rating"])]
        last, books = len(listed) - 1, len(r["source_items"])
        times = [k * STEP if k < books else (books - 1) * STEP + k - books + 1 for k in range(len(listed))]
        rows += [(r["user_id"], *own, times[k], k == last) for k, own in enumerate(listed)]
    seen = pl.DataFrame(rows, schema=dict(SPLIT_INTERACTIONS.columns), orient="row")
    return seen.sort("user_id", "time", "item_id").unique(["user_id", "item_id"], keep="first", maintain_order=True)
