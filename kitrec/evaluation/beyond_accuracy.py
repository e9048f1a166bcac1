"""Beside accuracy: what the first K items of a list are, whatever the user took next. Of all scored rankings.

    w_ri      = P(item i is among the first K of list r): 1 or 0; of items that tie, the share of orders that has it
    coverage  = sum_i (1 - prod_r (1 - w_ri)) / N         items that somebody is shown, of all N that are candidates
    gini      = sum_j (2 j - N - 1) x_j / (N sum_j x_j)   x_i = sum_r w_ri, ascending: 0 all alike, near 1 few items
    novelty   = mean_r sum_i w_ri s_i / K                 s_i = -log2((n_i + 1) / (U + 1)), in bits
    diversity = mean_r sum_i<j w_rij d_ij / sum_i<j w_rij    d_ij = 1 - |C_i and C_j| / |C_i or C_j|
Coverage: Ge, Delgado-Battenfeld and Jannach, RecSys 2010. Gini: Fleder and Hosanagar, Management Science 55, 2009.
Novelty: the self-information of Zhou et al., PNAS 107, 2010, n_i of U training users had the item; one is added to
both, since nobody had some candidates. Diversity: within a list, Ziegler et al., WWW 2005, by Jaccard's distance of
the items' categories C; w_rij is P(both are among the first K). Pairs with an item without categories do not count,
and a list without other pairs has no diversity. Intervals of novelty and diversity: BCa by resampled users.

All four depend on the candidates: read them beside the row of `random`, which shows what the lists alone give.
Shapes: R lists, C candidates of a list, N items, F categories."""

from typing import Any

import numpy as np
import polars as pl

from kitrec.evaluation.bootstrap import Resampling, user_sums

K = 10
MEANS = ("novelty", "diversity")
BEYOND = ("coverage", "gini", *MEANS)
_PAIRS = 2**21  # of items in lists, held at once


def beyond_accuracy(
    rankings: pl.DataFrame,
    records: pl.DataFrame,
    items: pl.DataFrame,
    bought: pl.DataFrame,
    resampling: Resampling,
    k: int = K,
) -> dict[str, Any]:
    """Return the four measures of every method's scored rankings; `bought` holds the interactions of training users."""
    scored = rankings.filter(kind="scored").join(records.select("record_id", "user_id"), on="record_id")
    ids = scored["item_ids"].explode().unique().sort()
    users = bought["user_id"].n_unique()
    had = bought.group_by("item_id").agg(users=pl.col("user_id").n_unique())
    counts = pl.DataFrame({"item_id": ids}).join(had, on="item_id", how="left", maintain_order="left")["users"]
    information = -np.log2((counts.fill_null(0).to_numpy() + 1) / (users + 1))
    categories = category_matrix(ids, items)
    methods = {
        method: _measures(scored.filter(method=method), ids, information, categories, resampling, k)
        for method in scored["method"].unique().sort().to_list()
    }
    return {"k": k, "lists": records.height, "items": len(ids), "training_users": users, "methods": methods}


def category_matrix(ids: pl.Series, items: pl.DataFrame) -> np.ndarray:
    """Return which of the items [N] has which category [N, F]."""
    of_items = pl.DataFrame({"item_id": ids}).with_row_index("row").join(items, on="item_id", maintain_order="left")
    pairs = of_items.select("row", "categories").explode("categories").drop_nulls().unique()
    columns = pairs["categories"].rank("dense").cast(pl.Int64).to_numpy() - 1
    matrix = np.zeros((len(ids), int(columns.max(initial=-1)) + 1), dtype=np.float32)
    matrix[pairs["row"].to_numpy(), columns] = 1
    return matrix


def top_weights(scores: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return w_ri [R, C] and w_rij [R, C, C] of descending scores [R, C]; the diagonal of the second is zero."""
    k = min(k, scores.shape[1])
    last = scores[:, k - 1 : k]
    above, tied = scores > last, scores == last
    left, size = k - above.sum(axis=1, keepdims=True), tied.sum(axis=1, keepdims=True)
    weights = above + tied * (left / size)
    both_tied = (left * (left - 1) / np.maximum(size * (size - 1), 1))[:, :, None]
    pairs = np.where(tied[:, :, None] & tied[:, None], both_tied, weights[:, :, None] * weights[:, None])
    return weights, pairs * (1 - np.eye(scores.shape[1]))


def gini(exposure: np.ndarray) -> float:
    """Return the Gini coefficient of how often each item [N] is recommended."""
    ordered, count = np.sort(exposure), len(exposure)
    return float(((2 * np.arange(1, count + 1) - count - 1) * ordered).sum() / (count * ordered.sum()))


def diversities(pairs: np.ndarray, categories: np.ndarray) -> np.ndarray:
    """Return the diversity of lists [R], of the weights of their pairs [R, C, C] and categories [R, C, F]; or NaN."""
    shared, sizes = categories @ categories.swapaxes(1, 2), categories.sum(axis=2)
    union = sizes[:, :, None] + sizes[:, None] - shared
    counted = pairs * ((sizes[:, :, None] > 0) & (sizes[:, None] > 0))
    distances, total = 1 - shared / np.maximum(union, 1), counted.sum(axis=(1, 2))
    return np.where(total > 0, (counted * distances).sum(axis=(1, 2)) / np.where(total > 0, total, 1), np.nan)


def _measures(
    rows: pl.DataFrame, ids: pl.Series, information: np.ndarray, categories: np.ndarray, resampling: Resampling, k: int
) -> dict[str, float | int | None]:
    """Return the measures of a method."""
    exposure, unseen, owners, values = np.zeros(len(ids)), np.ones(len(ids)), list[np.ndarray](), list[np.ndarray]()
    for (length,), group in rows.group_by(pl.col("item_ids").list.len(), maintain_order=True):
        for part in group.iter_slices(max(_PAIRS // int(length) ** 2, 1)):
            numbers = np.searchsorted(ids.to_numpy(), part["item_ids"].explode().to_numpy()).reshape(-1, int(length))
            weights, pairs = top_weights(np.array(part["scores"].to_list()), k)
            np.add.at(exposure, numbers, weights)
            np.multiply.at(unseen, numbers, 1 - weights)
            novelty = (weights * information[numbers]).sum(axis=1) / min(k, int(length))
            owners.append(part["user_id"].to_numpy())
            values.append(np.stack([novelty, diversities(pairs, categories[numbers])], axis=1))
    figures: dict[str, float | int | None] = {"coverage": float((1 - unseen).mean()), "gini": gini(exposure)}
    table, of_users = np.concatenate(values), np.concatenate(owners)
    for column, name in enumerate(MEANS):
        has = np.isfinite(table[:, column])
        figures |= _mean(name, of_users[has], table[has, column : column + 1], resampling)
    return {name: None if value is None else round(value, 6) for name, value in figures.items()}


def _mean(name: str, owners: np.ndarray, values: np.ndarray, resampling: Resampling) -> dict[str, float | None]:
    """Return a mean over lists with the bounds of its interval; none of no list."""
    names = (name, f"{name}_low", f"{name}_high")
    if not len(values):
        return dict.fromkeys(names)
    bounds = resampling.means_and_intervals(user_sums(owners, values), "beyond accuracy", name)
    return dict(zip(names, (float(bound[0]) for bound in bounds), strict=True))
