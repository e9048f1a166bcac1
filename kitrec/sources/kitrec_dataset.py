"""KitREC's files as a data set: the roles of its users, and the interactions its prompts show.

The prompts give the order of interactions but no timestamps; `time` is constructed to express that order alone."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from kitrec.core.domains import KITREC, SETS
from kitrec.core.errors import InputError
from kitrec.preprocessing.dataset import ROLES, Dataset
from kitrec.preprocessing.users import split_training
from kitrec.schemas.interactions import SPLIT_INTERACTIONS
from kitrec.sources.kitrec_jsonl import load
from kitrec.sources.quarantine import Quarantine
from kitrec.sources.raw_rows import list_length
from kitrec.sources.sample_counts import count_deviations, length_deviations
from kitrec.sources.shown_texts import merge_items

FILE_GROUPS = {"training": True, "preference": False, "test": False}  # group -> do its rows need a teacher's output?
Files = Mapping[tuple[str, str], Sequence[Path]]
BOOK_INTERVAL = 1_000_000  # time between two books: room for the target items of any record
_FIRST_FOR_ITEMS = ("test", "preference", "training")  # training text never replaces text of the test
_FILE_PATTERNS = {"training": ("train", "by_model/*"), "preference": ("val",), "test": ("test",)}


@dataclass(frozen=True)
class KitrecData:
    """Data set as its authors built it, the items it shows, and where it is not what the documents and params state."""

    dataset: Dataset
    items: pl.DataFrame
    deviations: list[str]

    def interactions(self) -> pl.DataFrame:
        """Return all known interactions of its users: what their prompts show, and the held-out items."""
        return pl.concat(list(self.dataset.interactions.values())).unique(["user_id", "item_id"], maintain_order=True)


def find_files(folder: Path) -> dict[tuple[str, str], list[Path]]:
    """Return (candidate set, file group) -> files of `folder`: setA/train.jsonl or setA/by_model/*.jsonl,
    setA/val.jsonl, setA/test.jsonl."""
    files = {(which, group): _group_files(folder / f"set{which}", group) for which in SETS for group in FILE_GROUPS}
    missing = [f"set{which}/{_FILE_PATTERNS[group][0]}.jsonl" for (which, group), paths in files.items() if not paths]
    if missing:
        raise InputError(f"{folder} lacks {', '.join(missing)} (or .parquet): raw/README.md says what belongs there")
    return files


def _group_files(folder: Path, group: str) -> list[Path]:
    for pattern in _FILE_PATTERNS[group]:
        if paths := sorted(p for p in folder.glob(f"{pattern}.*") if p.suffix in (".jsonl", ".parquet")):
            return paths
    return []


def load_dataset(
    files: Files,
    seed: int,
    development_share: float,
    candidates: int,
    quarantine: Quarantine,
    *,
    quiet: bool,
    limit: int | None = None,
) -> KitrecData:
    """Load both candidate sets by role; a training user is on the same side of the 90/10 split in both.

    Lists have the length that most of a file's first rows have; `candidates` is what the params expect. `limit`: only
    the first rows of each user type, in every set and role."""
    lengths = {key: list_length(paths) or candidates for key, paths in files.items()}
    loaded = {
        (which, group): load(
            paths,
            which,
            lengths[which, group],
            quarantine,
            require_output=FILE_GROUPS[group],
            quiet=quiet,
            limit=limit,
        )
        for (which, group), paths in files.items()
    }
    empty = [f"set {which}, {group}" for (which, group), part in loaded.items() if not part.records.height]
    if empty:
        raise InputError(f"no usable row in {'; '.join(empty)}: {quarantine.summary()}")
    deviations = length_deviations(lengths, candidates)
    if limit is None:
        deviations += count_deviations({key: part.records for key, part in loaded.items()})
    roles = _training_roles(seed, development_share, [loaded[which, "training"].records for which in SETS])
    records = {
        which: {
            **_split_by_role(loaded[which, "training"].records, roles),
            "preference": loaded[which, "preference"].records,
            "test": loaded[which, "test"].records,
        }
        for which in SETS
    }
    items = merge_items(loaded[which, group].items for group in _FIRST_FOR_ITEMS for which in SETS)
    return KitrecData(dataset_from_records(records), items.sort("domain", "item_id"), deviations)


def dataset_from_records(records: dict[str, dict[str, pl.DataFrame]]) -> Dataset:
    """Return the records with the interactions they show."""
    interactions = {role: _shown_interactions([roles[role] for roles in records.values()]) for role in ROLES}
    training = pl.concat([interactions["train"], interactions["development"]])
    history = training.filter(~pl.col("held_out")).select("user_id", "item_id").unique(maintain_order=True)
    return Dataset(records, interactions, history)


def _training_roles(seed: int, development_share: float, training: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Assign all training users of both sets to train or development: (user_type, user_id, role)."""
    users = pl.concat([records.select("user_type", "user_id") for records in training]).unique().sort("user_id")
    members = {
        user_type: users.filter(pl.col("user_type") == user_type)["user_id"].to_list()
        for user_type in sorted(set(users["user_type"]))
    }
    split = split_training(seed, members, development_share)
    rows = [
        (user_type, user, role) for user_type, groups in split.items() for role, ids in groups.items() for user in ids
    ]
    return pl.DataFrame(rows, schema=["user_type", "user_id", "role"], orient="row")


def _split_by_role(training: pl.DataFrame, roles: pl.DataFrame) -> dict[str, pl.DataFrame]:
    marked = training.join(roles, on=["user_type", "user_id"], how="left", maintain_order="left")
    return {role: marked.filter(pl.col("role") == role).drop("role") for role in ("train", "development")}


def _shown_interactions(records: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Return the interactions that the records show, each (user, item) once, at its first occurrence.

    The files have no times. Books count in the order of their list; a record's target items come after its last book
    and before any book that only the user's other record shows."""
    shown_lists = ["source_items", "source_ratings", "target_items", "target_ratings", "gt_item_id", "gt_rating"]
    columns = [rows.select("user_id", "target", *shown_lists) for rows in records]
    distinct = pl.concat(columns).unique(["user_id", "target"], maintain_order=True)
    rows = []
    for r in distinct.iter_rows(named=True):
        shown = [
            (KITREC.source, item, rating) for item, rating in zip(r["source_items"], r["source_ratings"], strict=True)
        ]
        shown += [
            (r["target"], item, rating) for item, rating in zip(r["target_items"], r["target_ratings"], strict=True)
        ]
        shown += [(r["target"], r["gt_item_id"], r["gt_rating"])]
        last, books = len(shown) - 1, len(r["source_items"])
        times = [
            k * BOOK_INTERVAL if k < books else (books - 1) * BOOK_INTERVAL + k - books + 1 for k in range(len(shown))
        ]
        rows += [(r["user_id"], *interaction, times[k], k == last) for k, interaction in enumerate(shown)]
    interactions = pl.DataFrame(rows, schema=dict(SPLIT_INTERACTIONS.columns), orient="row")
    ordered = interactions.sort("user_id", "time", "item_id")
    return ordered.unique(["user_id", "item_id"], keep="first", maintain_order=True)
