"""Groups of users with similar vectors, and the file that holds them: user2group.csv (user_id, group_id).

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
STARTS = 10  # random starts of k-means, of which the best is kept


@dataclass(frozen=True)
class UserGroups:
    """Group of each user, and the centroids [G, d]."""

    group_of: Mapping[str, int]
    centroids: np.ndarray

    @property
    def sizes(self) -> list[int]:
        """Number of users in each group."""
        return np.bincount(list(self.group_of.values()), minlength=len(self.centroids)).tolist()


def cluster_users(users: Vectors, count: int, seed: int) -> UserGroups:
    """Cluster all users with a vector into `count` groups."""
    from sklearn.cluster import KMeans

    unit = unit_rows(users.rows)
    distinct = len(np.unique(unit, axis=0))
    if distinct < count:
        raise InputError(
            f"groups.members.count: {count} groups of {distinct} different vectors would leave an empty one; lower it"
        )
    labels = KMeans(count, n_init=STARTS, random_state=derived_seed(seed, "user groups")).fit_predict(unit)
    return with_centroids(dict(zip(users.ids, labels.tolist(), strict=True)), users)


def with_centroids(group_of: Mapping[str, int], users: Vectors) -> UserGroups:
    """Return groups with their centroids; every group needs a user, every user a vector."""
    if not group_of:
        raise InputError("user2group names no user; create it by clustering the user vectors")
    count = max(group_of.values()) + 1
    empty = sorted(set(range(count)) - set(group_of.values()))
    if empty:
        raise InputError(f"group {empty[0]} is empty: groups are numbered 0 to {count - 1}, give each a user")
    rows, labels = users.require(group_of, "users of groups"), np.array(list(group_of.values()))
    return UserGroups(dict(group_of), np.stack([rows[labels == group].mean(axis=0) for group in range(count)]))


def write_groups(groups: UserGroups, path: Path) -> None:
    """Write user2group.csv, sorted by user."""
    with files.atomic(path) as draft, draft.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(sorted(groups.group_of.items()))


def read_groups(path: Path) -> dict[str, int]:
    """Read user -> group; a user belongs to one group."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            header, *lines = list(csv.reader(stream)) or [[]]
    except FileNotFoundError:
        raise InputError(f"{path} is missing: a file of user_id,group_id, as stage `groups` writes it") from None
    except UnicodeDecodeError as problem:
        raise InputError(f"{path} is not UTF-8 ({problem}): save it as UTF-8") from None
    if header != COLUMNS:
        raise InputError(f"{path}: the columns must be {', '.join(COLUMNS)}; they are {', '.join(header) or 'none'}")
    group_of: dict[str, int] = {}
    for number, line in enumerate(lines, start=2):
        if len(line) != 2 or not line[1].isdecimal():
            raise InputError(f"{path}, line {number}: {','.join(line)!r} is no user and group number")
        user, group = line[0], int(line[1])
        if group_of.setdefault(user, group) != group:
            raise InputError(f"{path}, line {number}: user {user} is in groups {group_of[user]} and {group}; keep one")
    if group_of and max(group_of.values()) >= len(group_of):
        largest = max(group_of.values())
        raise InputError(f"{path}: group {largest} of {len(group_of)} users: groups are numbered from 0 on")
    return group_of


def unit_rows(rows: np.ndarray) -> np.ndarray:
    """Scale rows to length one; zero stays zero."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(length > 0, length, 1))
