"""How hard are the candidate lists? What a reader of a table must know before comparing models on them.

Per set of records: how alike negatives and truth are (share of categories, cosine of their texts), how popular the
truth is among its candidates, whether its place is uniform (chi-square), what rankers without a model reach, and how
many lists show two candidates with the same text.

Texts: words of title, categories and description, weight count x (1 + ln(N / items with the word)), unit length.
Popularity and item-kNN (Sarwar et al. 2001, cosine of co-interactions) count what training users touched before their
held-out items:  cos(i, j) = n_ij / sqrt(n_i n_j);  score(c) = sum over the history's items h of cos(c, h)."""

from typing import Any

import numpy as np
import polars as pl
from scipy import sparse
from scipy.stats import chisquare

TOP = 10


def report(records: pl.DataFrame, items: pl.DataFrame, training_history: pl.DataFrame) -> dict[str, Any]:
    """The figures of one set of records, rounded to four digits."""
    lists = _Lists(records, items, training_history)
    figures = {
        "lists": records.height,
        "candidates": float(lists.size.mean()),
        "category_overlap": _mean_of_negatives(lists, lists.shared_categories()),
        "text_similarity": _mean_of_negatives(lists, lists.text_similarity()),
        "truth_popularity_percentile": lists.percentile_of_truth(lists.popularity),
        "truth_position_p": lists.position_p(),
        "lists_with_same_text": lists.same_texts(),
        "floor_random_hit@10": float(np.minimum(TOP / lists.size, 1).mean()),
        "floor_popularity_hit@10": lists.hit(lists.popularity),
        "floor_item_knn_hit@10": lists.hit(lists.neighbour_scores()),
    }
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in figures.items()}


def _mean_of_negatives(lists: "_Lists", values: np.ndarray) -> float:
    return float(values[~lists.is_truth].mean())


class _Lists:
    """All candidates of all records laid end to end: E entries of R records."""

    def __init__(self, records: pl.DataFrame, items: pl.DataFrame, training_history: pl.DataFrame) -> None:
        self.records, self.items, self.past = records, items, training_history
        self.row_of = {item: k for k, item in enumerate(items["item_id"])}
        self.size = records["candidate_ids"].list.len().to_numpy().astype(np.int64)
        self.record = np.repeat(np.arange(records.height), self.size)
        self.item = self._rows(records["candidate_ids"].explode())
        self.truth = self._rows(records["gt_item_id"])[self.record]
        self.is_truth = self.item == self.truth
        counts = np.bincount(self._rows(training_history["item_id"]), minlength=items.height)
        self.popularity = counts[self.item].astype(float)

    def _rows(self, ids: pl.Series) -> np.ndarray:
        return np.array([self.row_of[item] for item in ids], dtype=np.int64)

    def shared_categories(self) -> np.ndarray:
        """Jaccard overlap of each entry's categories with its truth's."""
        pairs = self.items.with_row_index().select("index", "categories").explode("categories").drop_nulls()
        column = pairs["categories"].rank("dense").cast(pl.Int64).to_numpy() - 1
        has = _table(pairs["index"].to_numpy(), column, self.items.height)
        common = has[self.item].multiply(has[self.truth]).sum(axis=1)
        either = has.sum(axis=1)[self.item] + has.sum(axis=1)[self.truth] - common
        return common / np.maximum(either, 1)

    def text_similarity(self) -> np.ndarray:
        """Cosine of each entry's text with its truth's."""
        parts = [
            pl.col("title").fill_null(""),
            pl.col("categories").list.join(" "),
            pl.col("description").fill_null(""),
        ]
        words = pl.concat_str(parts, separator=" ").str.to_lowercase().str.extract_all(r"\w+")
        pairs = self.items.with_row_index().select("index", word=words).explode("word").drop_nulls()
        column = pairs["word"].rank("dense").cast(pl.Int64).to_numpy() - 1
        counts = _table(pairs["index"].to_numpy(), column, self.items.height)
        spread = np.asarray((counts > 0).sum(axis=0)).ravel()
        vectors = _unit_rows(counts @ sparse.diags_array(1 + np.log(self.items.height / spread)))
        return vectors[self.item].multiply(vectors[self.truth]).sum(axis=1)

    def neighbour_scores(self) -> np.ndarray:
        """Item-kNN's score of each entry, from its record's history."""
        users = self.past["user_id"].rank("dense").cast(pl.Int64).to_numpy() - 1
        fans = _unit_rows(_table(self._rows(self.past["item_id"]), users, self.items.height))  # [item, user]
        history = self.records.select(pl.concat_list("source_items", "target_items"))[:, 0]
        of = np.repeat(np.arange(self.records.height), history.list.len().to_numpy())
        shown = self._rows(history.explode(empty_as_null=False))
        kindred = sparse.csr_array(_table(of, shown, self.records.height, self.items.height) @ fans)  # [record, user]
        return kindred[self.record].multiply(fans[self.item]).sum(axis=1)

    def percentile_of_truth(self, values: np.ndarray) -> float:
        """Mean share of its negatives that the truth is above (ties count half)."""
        beaten = (values < values[self.is_truth][self.record]) + 0.5 * (values == values[self.is_truth][self.record])
        return float(beaten[~self.is_truth].mean())

    def hit(self, scores: np.ndarray) -> float:
        """Hit@10 of a ranking by these scores, ties by expectation over their orders."""
        own = scores[self.is_truth][self.record]
        above = np.bincount(self.record, weights=scores > own)
        equal = np.bincount(self.record, weights=scores == own)
        return float(np.clip((TOP - above) / equal, 0, 1).mean())

    def position_p(self) -> float:
        """Chi-square p of the truth's place against uniform, for lists of the commonest length."""
        size = int(np.bincount(self.size).argmax())
        start = np.repeat(np.cumsum(self.size) - self.size, self.size)
        place = (np.arange(len(self.record)) - start)[self.is_truth & (self.size[self.record] == size)]
        return float(chisquare(np.bincount(place, minlength=size)).pvalue)

    def same_texts(self) -> int:
        """Lists in which two named candidates read the same."""
        shown = self.items.select(
            "has_metadata", pl.struct("title", "categories", "description").rank("dense").alias("text")
        )
        named = shown["has_metadata"].to_numpy()[self.item]
        entries = pl.DataFrame({"record": self.record[named], "text": shown["text"].to_numpy()[self.item][named]})
        return entries.filter(entries.is_duplicated())["record"].n_unique()


def _table(rows: np.ndarray, columns: np.ndarray, height: int, width: int | None = None) -> sparse.csr_array:
    """How often each (row, column) occurs."""
    shape = (height, width or int(columns.max(initial=0)) + 1)
    return sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=shape)


def _unit_rows(table: sparse.csr_array) -> sparse.csr_array:
    length = np.sqrt(np.asarray(table.multiply(table).sum(axis=1)).ravel())
    return sparse.csr_array(sparse.diags_array(1 / np.maximum(length, 1e-12)) @ table)
