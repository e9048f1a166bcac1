"""Like/dislike labels of (user, item), each with the items the user liked before, in the format of CoLLM's tables.

A data set is a folder with train.tsv, valid.tsv and test.tsv (user, item, rating 0 or 1, time), beside each a
*_history.tsv with the same rows (user, item, label, history: item ids, oldest first), and items.tsv (item, title).
Shapes: R rows."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from kitrec.core.errors import InputError
from kitrec.recommenders.data.sequences import Sequences, sequences_from_lists
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.training.validation_users import Most, sample_users

PARTS = ("train", "valid", "test")


@dataclass(frozen=True)
class LabelledRows:
    """R labelled rows; users and items as text, histories as lists of item ids."""

    users: list[str]
    items: list[str]
    labels: np.ndarray  # [R] 0 or 1
    histories: list[list[str]]

    def __len__(self) -> int:
        return len(self.users)

    def of_sampled_users(self, most: Most, seed: int) -> "LabelledRows":
        """Return the rows of `most` of the users."""
        users = set(sample_users(pl.Series(self.users, dtype=pl.String), most, seed))
        rows = [row for row, user in enumerate(self.users) if user in users]
        picked, items = [self.users[row] for row in rows], [self.items[row] for row in rows]
        return LabelledRows(picked, items, self.labels[rows], [self.histories[row] for row in rows])

    def sequences(self, vocabulary: Vocabulary) -> Sequences:
        """Return the histories as numbers; unknown items are left out."""
        numbers = vocabulary.numbers(pl.Series([i for history in self.histories for i in history], dtype=pl.String))
        ends = np.cumsum([len(history) for history in self.histories])[:-1]
        return sequences_from_lists(part[part > 0] for part in np.split(numbers, ends))


def read_labelled(folder: Path, part: str) -> LabelledRows:
    """Read one part of a data set."""
    rows = _table(folder / f"{part}.tsv", ("user", "item", "rating"))
    shown = _table(folder / f"{part}_history.tsv", ("user", "item", "label", "history"))
    same = rows.height == shown.height and all(
        rows[name].equals(shown[other]) for name, other in (("user", "user"), ("item", "item"), ("rating", "label"))
    )
    if not same:
        raise InputError(f"{folder}: {part}_history.tsv has other rows than {part}.tsv; take both from one source")
    wrong = rows.filter(~pl.col("rating").is_in(["0", "1"]) | pl.col("rating").is_null())
    if wrong.height:
        raise InputError(
            f"{folder / part}.tsv: {wrong.height} rows have no label of 0 or 1, the first is user {wrong['user'][0]}, "
            f"item {wrong['item'][0]}; give it one, or leave the row out"
        )
    histories = [history.split() for history in shown["history"].fill_null("").to_list()]
    return LabelledRows(rows["user"].to_list(), rows["item"].to_list(), rows["rating"].cast(int).to_numpy(), histories)


def read_titles(folder: Path) -> dict[str, str]:
    """Read item id -> title."""
    table = _table(folder / "items.tsv", ("item", "title"))
    return dict(zip(table["item"], table["title"].fill_null("Unknown"), strict=True))


def _table(path: Path, needed: tuple[str, ...]) -> pl.DataFrame:
    try:
        table = pl.read_csv(path, separator="\t", infer_schema=False, quote_char=None)
    except FileNotFoundError:
        raise InputError(
            f"{path} is missing: a labelled data set has it; see kitrec/thinkrec/labelled_rows.py"
        ) from None
    except (pl.exceptions.PolarsError, OSError) as problem:
        raise InputError(f"{path} is no table ({problem}): give a TSV with the columns {', '.join(needed)}") from None
    missing = [name for name in needed if name not in table.columns]
    if missing:
        raise InputError(f"{path} lacks the column {', '.join(missing)}; it has {', '.join(table.columns)}")
    return table
