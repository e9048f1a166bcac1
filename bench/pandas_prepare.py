"""The peer of `bench.prepare`: the same steps in common style, with json, pandas and a loop over users.

Read, drop bad rows, keep the latest review of an item, classify, sample, hold out the last target item, draw both
candidate sets, write parquet. The rules are those of kitrec/preprocessing; only the tools differ."""

import gzip
import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kitrec.core.domains import KITREC
from kitrec.preprocessing.params import Candidates, Users

NAMES = {"books": "Books", "movies": "Movies_and_TV", "music": "CDs_and_Vinyl"}
MIN_BOOKS = 5


def prepare(folder: Path, seed: int, users: Users, candidates: Candidates, out: Path) -> None:
    """Write both sets of all roles to `out`."""
    rng = np.random.default_rng(seed)
    reviews = pd.concat([_reviews(folder / f"{NAMES[domain]}.jsonl.gz", domain) for domain in KITREC.names])
    reviews = reviews.sort_values("time").drop_duplicates(["user_id", "item_id"], keep="last")
    roles = _sampled(rng, _members(reviews), users)
    items = pd.concat([_items(folder / f"meta_{NAMES[domain]}.jsonl.gz", domain) for domain in KITREC.names])
    users_with_role = {user for groups in roles.values() for ids in groups.values() for user in ids}
    histories = dict(list(reviews[reviews["user_id"].isin(users_with_role)].groupby("user_id")))
    trained = [(user, kind) for kind, groups in roles.items() for user in groups["train"]]
    pools = {target: _Pool(items, target, histories, trained) for target in KITREC.targets}
    out.mkdir(parents=True)
    items.to_parquet(out / "items.parquet")
    for which in ("A", "B"):
        for role in ("train", "preference", "test"):
            rows = [
                _record(rng, candidates, pools[target], which, target, histories[user])
                for kind, groups in roles.items()
                for target in [KITREC.user_types[kind].target]
                for user in groups[role]
            ]
            pd.DataFrame(rows).to_parquet(out / f"{which}-{role}.parquet")


def _reviews(path: Path, domain: str) -> pd.DataFrame:
    rows = []
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        for line in stream:
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if isinstance(row, dict):
                rows.append((row["user_id"], row["parent_asin"], row["rating"], row["timestamp"]))
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "rating", "time"])
    for name in ("rating", "time"):
        frame[name] = pd.to_numeric(frame[name], errors="coerce")
    named = (frame["user_id"].fillna("") != "") & (frame["item_id"].fillna("") != "")
    frame = frame[named & frame["rating"].between(1, 5) & frame["time"].between(8e11, 4e12)]
    return frame.assign(domain=domain)


def _items(path: Path, domain: str) -> pd.DataFrame:
    rows = []
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        for line in stream:
            row = json.loads(line)
            rows.append((row["parent_asin"], domain, row["title"], row["categories"] or []))
    return pd.DataFrame(rows, columns=["item_id", "domain", "title", "categories"])


def _members(reviews: pd.DataFrame) -> dict[str, list[str]]:
    members = defaultdict(list)
    counts = reviews.groupby(["user_id", "domain"]).size().unstack(fill_value=0)
    for target in KITREC.targets:
        other = next(t for t in KITREC.targets if t != target)
        last = reviews[reviews["domain"] == target].groupby("user_id")["time"].max().rename("last")
        books = reviews[reviews["domain"] == KITREC.source].merge(last, left_on="user_id", right_index=True)
        before = books[books["time"] < books["last"]].groupby("user_id").size()
        fit = counts.loc[before.index[before >= MIN_BOOKS]]
        for kind in (k for k in KITREC.user_types.values() if k.target == target):
            users = fit[(fit[target] >= kind.min_target_items) & (fit[target] <= (kind.max_target_items or 10**9))]
            users = users[users[other] == 0] if kind.other_target_empty else users
            members[kind.name] = list(users.index)
    return members


def _sampled(rng: np.random.Generator, members: dict[str, list[str]], users: Users) -> dict[str, dict[str, list[str]]]:
    roles = {}
    for kind, ids in members.items():
        chosen = rng.permutation(sorted(ids))[: users.per_type]
        train, preference, test = np.split(chosen, [users.train, users.train + users.preference])
        roles[kind] = {"train": list(train), "preference": list(preference), "test": list(test)}
    return roles


class _Pool:
    def __init__(
        self, items: pd.DataFrame, target: str, histories: dict[str, pd.DataFrame], trained: list[Any]
    ) -> None:
        of_target = items[items["domain"] == target]
        self.ids = of_target["item_id"].to_numpy()
        self.categories = dict(zip(of_target["item_id"], of_target["categories"], strict=True))
        self.with_category = defaultdict(set)
        for item, names in self.categories.items():
            for name in names[1:]:
                self.with_category[name].add(item)
        self.users, self.touched = defaultdict(set), {}
        for user, _ in trained:
            self.touched[user] = list(histories[user]["item_id"])
            for item in self.touched[user]:
                self.users[item].add(user)
        self.popularity = np.array([len(self.users[item]) for item in self.ids])
        self.target_items = set(self.ids)

    def nearest(self, history: list[str]) -> list[str]:
        counts: Counter[str] = Counter()
        for item in history:
            for user in self.users.get(item, ()):
                counts.update(i for i in self.touched[user] if i in self.target_items)
        return [item for item, _ in counts.most_common()]


def _record(
    rng: np.random.Generator, p: Candidates, pool: _Pool, which: str, target: str, history: pd.DataFrame
) -> dict[str, Any]:
    targets = history[history["domain"] == target].sort_values("time")
    held_out, before = targets.iloc[-1], history[history["time"] < targets.iloc[-1]["time"]]
    taken, chosen = set(history["item_id"]) | {held_out["item_id"]}, [held_out["item_id"]]

    def take(ranked: Any, quota: int) -> None:
        fresh = [item for item in ranked if item not in taken][:quota]
        taken.update(fresh)
        chosen.extend(fresh)

    if which == "A":
        alike = set().union(*(pool.with_category[name] for name in pool.categories.get(held_out["item_id"], [])[1:]))
        take(rng.permutation(sorted(alike)), p.same_category)
        take(pool.nearest(list(before["item_id"])), p.neighbours)
        level = pool.popularity[np.nonzero(pool.ids == held_out["item_id"])[0][0]]
        take(pool.ids[np.argsort(np.abs(pool.popularity - level), kind="stable")], p.popularity_matched)
    take(rng.permutation(pool.ids), p.count - len(chosen))
    return {
        "user_id": history["user_id"].iloc[0],
        "target": target,
        "history": list(before.sort_values("time")["item_id"]),
        "candidate_ids": list(rng.permutation(chosen)),
        "gt_item_id": held_out["item_id"],
    }
