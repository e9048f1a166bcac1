"""Users in groups of similar vectors, and the file that says who is where: user2group.csv (user_id, group_id).

Groups are clusters of unit vectors (k-means), since routing compares by cosine; a group's centroid is the mean of its
users' vectors. Shapes: U users, G groups, d width."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kitrec.core import files
from kitrec.core.errors import InputError
from kitrec.core.randomness import derived_seed
from kitrec.thinkrec.vector_shards import Vectors

COLUMNS = ["user_id", "group_id"]
STARTS = 10  # k-means keeps the best of so many


@dataclass(frozen=True)
class Grouped:
    """group of each user, and the centroids [G, d]."""

    group_of: Mapping[str, int]
    centroids: np.ndarray

    @property
    def sizes(self) -> list[int]:
        """Users of each group."""
        return np.bincount(list(self.group_of.values()), minlength=len(self.centroids)).tolist()


def cluster(users: Vectors, count: int, seed: int) -> Grouped:
    """Every user with a vector in one of `count` groups."""
    from sklearn.cluster import KMeans

    unit = unit_rows(users.rows)
    different = len(np.unique(unit, axis=0))
    if different < count:
        raise InputError(
            f"groups.members.count: {count} groups of {different} different vectors would leave an empty one; lower it"
        )
    found = KMeans(count, n_init=STARTS, random_state=derived_seed(seed, "user groups")).fit_predict(unit)
    return grouped(dict(zip(users.ids, found.tolist(), strict=True)), users)


def grouped(group_of: Mapping[str, int], users: Vectors) -> Grouped:
    """Groups with their centroids; every group needs a user, every user a vector."""
    if not group_of:
        raise InputError("user2group names no user; make it by clustering the user vectors")
    count = max(group_of.values()) + 1
    empty = sorted(set(range(count)) - set(group_of.values()))
    if empty:
        raise InputError(f"group {empty[0]} is empty: groups are numbered 0 to {count - 1}, give each a user")
    rows, own = users.of(group_of, "users of groups"), np.array(list(group_of.values()))
    return Grouped(dict(group_of), np.stack([rows[own == group].mean(axis=0) for group in range(count)]))


def write_groups(found: Grouped, path: Path) -> None:
    """user2group.csv, in the order of the users."""
    with files.atomic(path) as draft, draft.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(sorted(found.group_of.items()))


def read_groups(path: Path) -> dict[str, int]:
    """user -> group; a user stands in one group."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            header, *lines = list(csv.reader(stream)) or [[]]
    except FileNotFoundError:
        raise InputError(f"{path} is missing: a file of user_id,group_id, as stage `groups` writes it") from None
    except UnicodeDecodeError as problem:
        raise InputError(f"{path} is no UTF-8 ({problem}): save it as UTF-8") from None
    if header != COLUMNS:
        raise InputError(f"{path}: the columns must be {', '.join(COLUMNS)}; they are {', '.join(header) or 'none'}")
    found: dict[str, int] = {}
    for number, line in enumerate(lines, start=2):
        if len(line) != 2 or not line[1].isdecimal():
            raise InputError(f"{path}, line {number}: {','.join(line)!r} is no user and group number")
        user, group = line[0], int(line[1])
        if found.setdefault(user, group) != group:
            raise InputError(f"{path}, line {number}: user {user} is in groups {found[user]} and {group}; keep one")
    if found and max(found.values()) >= len(found):
        raise InputError(f"{path}: group {max(found.values())} of {len(found)} users: groups are numbered from 0 on")
    return found


def unit_rows(rows: np.ndarray) -> np.ndarray:
    """Rows of length one; zero stays zero."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(length > 0, length, 1))
