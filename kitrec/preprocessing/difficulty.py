"""Difficulty of candidate lists: statistics to consider before comparing models on them.

Per set of records: similarity of negatives and ground truth (Jaccard index of categories, cosine of texts), the ground
truth's popularity among its candidates, uniformity of its position (chi-square), Hit@10 of rankers without a model,
and the number of lists with two candidates of the same text.

Texts: words of title, categories and description, tf-idf weights count x (1 + ln(N / items with the word)), unit norm.
Popularity and item-kNN (Sarwar et al. 2001) count the interactions of training users before their held-out items:
cos(i, j) = n_ij / sqrt(n_i n_j);  score(c) = sum over the history's items h of cos(c, h)."""

from typing import Any

import numpy as np
import polars as pl
from scipy import sparse
from scipy.stats import chisquare

TOP = 10


def difficulty_report(records: pl.DataFrame, items: pl.DataFrame, training_history: pl.DataFrame) -> dict[str, Any]:
    """Return the statistics of one set of records, rounded to four digits."""
    lists = _CandidateLists(records, items, training_history)
    figures = {
        "lists": records.height,
        "candidates": float(lists.size.mean()),
        "category_overlap": _mean_of_negatives(lists, lists.shared_categories()),
        "text_similarity": _mean_of_negatives(lists, lists.text_similarity()),
        "truth_popularity_percentile": lists.ground_truth_percentile(lists.popularity),
        "truth_position_p": lists.position_p(),
        "lists_with_same_text": lists.same_texts(),
        "floor_random_hit@10": float(np.minimum(TOP / lists.size, 1).mean()),
        "floor_popularity_hit@10": lists.hit(lists.popularity),
        "floor_item_knn_hit@10": lists.hit(lists.neighbour_scores()),
    }
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in figures.items()}


def _mean_of_negatives(lists: "_CandidateLists", values: np.ndarray) -> float:
    return float(values[~lists.is_ground_truth].mean())


class _CandidateLists:
    """All candidates of all records in one array: E entries of R records."""

    def __init__(self, records: pl.DataFrame, items: pl.DataFrame, training_history: pl.DataFrame) -> None:
        self.records, self.items, self.history = records, items, training_history
        self.row_of = {item: k for k, item in enumerate(items["item_id"])}
        self.size = records["candidate_ids"].list.len().to_numpy().astype(np.int64)
        self.record = np.repeat(np.arange(records.height), self.size)
        self.item = self._rows(records["candidate_ids"].explode())
        self.ground_truth = self._rows(records["gt_item_id"])[self.record]
        self.is_ground_truth = self.item == self.ground_truth
        counts = np.bincount(self._rows(training_history["item_id"]), minlength=items.height)
        self.popularity = counts[self.item].astype(float)

    def _rows(self, ids: pl.Series) -> np.ndarray:
        return np.array([self.row_of[item] for item in ids], dtype=np.int64)

    def shared_categories(self) -> np.ndarray:
        """Return the Jaccard index of each entry's categories and its ground truth's."""
        pairs = self.items.with_row_index().select("index", "categories").explode("categories").drop_nulls()
        column = pairs["categories"].rank("dense").cast(pl.Int64).to_numpy() - 1
        item_categories = _count_matrix(pairs["index"].to_numpy(), column, self.items.height)
        common = item_categories[self.item].multiply(item_categories[self.ground_truth]).sum(axis=1)
        sizes = item_categories.sum(axis=1)
        either = sizes[self.item] + sizes[self.ground_truth] - common
        return common / np.maximum(either, 1)

    def text_similarity(self) -> np.ndarray:
        """Return the cosine of each entry's text and its ground truth's."""
        parts = [
            pl.col("title").fill_null(""),
            pl.col("categories").list.join(" "),
            pl.col("description").fill_null(""),
        ]
        words = pl.concat_str(parts, separator=" ").str.to_lowercase().str.extract_all(r"\w+")
        pairs = self.items.with_row_index().select("index", word=words).explode("word").drop_nulls()
        column = pairs["word"].rank("dense").cast(pl.Int64).to_numpy() - 1
        counts = _count_matrix(pairs["index"].to_numpy(), column, self.items.height)
        document_frequency = np.asarray((counts > 0).sum(axis=0)).ravel()
        vectors = _unit_rows(counts @ sparse.diags_array(1 + np.log(self.items.height / document_frequency)))
        return vectors[self.item].multiply(vectors[self.ground_truth]).sum(axis=1)

    def neighbour_scores(self) -> np.ndarray:
        """Return the item-kNN score of each entry, given its record's history."""
        users = self.history["user_id"].rank("dense").cast(pl.Int64).to_numpy() - 1
        # [item, user]
        item_users = _unit_rows(_count_matrix(self._rows(self.history["item_id"]), users, self.items.height))
        history = self.records.select(pl.concat_list("source_items", "target_items"))[:, 0]
        record = np.repeat(np.arange(self.records.height), history.list.len().to_numpy())
        shown = self._rows(history.explode(empty_as_null=False))
        record_items = _count_matrix(record, shown, self.records.height, self.items.height)
        co_users = sparse.csr_array(record_items @ item_users)  # [record, user]
        return co_users[self.record].multiply(item_users[self.item]).sum(axis=1)

    def ground_truth_percentile(self, values: np.ndarray) -> float:
        """Return the mean share of negatives that the ground truth scores above (ties count half)."""
        ground_truth_value = values[self.is_ground_truth][self.record]
        beaten = (values < ground_truth_value) + 0.5 * (values == ground_truth_value)
        return float(beaten[~self.is_ground_truth].mean())

    def hit(self, scores: np.ndarray) -> float:
        """Return Hit@10 of a ranking by these scores, in expectation over ties."""
        ground_truth_score = scores[self.is_ground_truth][self.record]
        above = np.bincount(self.record, weights=scores > ground_truth_score)
        equal = np.bincount(self.record, weights=scores == ground_truth_score)
        return float(np.clip((TOP - above) / equal, 0, 1).mean())

    def position_p(self) -> float:
        """Return the chi-square p-value of uniform ground-truth positions, for the most frequent list length."""
        size = int(np.bincount(self.size).argmax())
        start = np.repeat(np.cumsum(self.size) - self.size, self.size)
        position = (np.arange(len(self.record)) - start)[self.is_ground_truth & (self.size[self.record] == size)]
        return float(chisquare(np.bincount(position, minlength=size)).pvalue)

    def same_texts(self) -> int:
        """Count the lists in which two candidates with metadata have the same text."""
        shown = self.items.select(
            "has_metadata", pl.struct("title", "categories", "description").rank("dense").alias("text")
        )
        named = shown["has_metadata"].to_numpy()[self.item]
        entries = pl.DataFrame({"record": self.record[named], "text": shown["text"].to_numpy()[self.item][named]})
        return entries.filter(entries.is_duplicated())["record"].n_unique()


def _count_matrix(rows: np.ndarray, columns: np.ndarray, height: int, width: int | None = None) -> sparse.csr_array:
    """Count the occurrences of every (row, column)."""
    shape = (height, width or int(columns.max(initial=0)) + 1)
    return sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=shape)


def _unit_rows(table: sparse.csr_array) -> sparse.csr_array:
    length = np.sqrt(np.asarray(table.multiply(table).sum(axis=1)).ravel())
    return sparse.csr_array(sparse.diags_array(1 / np.maximum(length, 1e-12)) @ table)
