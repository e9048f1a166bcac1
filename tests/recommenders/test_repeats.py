"""Repeated rows: one rule for training, evaluation and predictions, so that no held-out item stands in its history."""

import random
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from kitrec.core.errors import InputError
from kitrec.core.tables import write as write_table
from kitrec.recommenders.data.interaction_files import Interactions, read_interactions
from kitrec.recommenders.data.item_features import ItemFeatures
from kitrec.recommenders.data.sequences import sequences_from_lists
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.recommenders.fit import FitData, evaluate_baselines, train_on
from kitrec.recommenders.models.params import ItemKNN
from kitrec.recommenders.params import SequenceMethod
from kitrec.recommenders.ranking.full import ranks
from kitrec.recommenders.ranking.top_k import predict
from kitrec.recommenders.storage import StoredModel, load_model, save_model
from kitrec.schemas.interactions import SPLIT_INTERACTIONS
from tests.recommenders.made_models import CE, ITEMS, made_model, made_training_config, model_params

SASREC = SequenceMethod(
    history="target", model=model_params("sasrec"), loss=CE, training=made_training_config(epochs=3)
)
KNN = ItemKNN(kind="item_knn", neighbours=20, shrink=1.0)


def made_rows(users: int = 80, items: int = 60) -> list[tuple[str, str, int]]:
    rng = random.Random(3)
    return [
        (f"u{user}", f"i{item}", 1000 * user + 10 * step)
        for user in range(users)
        for step, item in enumerate(rng.sample(range(items), rng.randint(4, 9)))
    ]


def read_rows(folder: Path, rows: list[tuple[str, str, int]], **options) -> Interactions:
    path = folder / "rows.csv"
    path.write_text("\n".join(["user,item,time", *(f"{u},{i},{t}" for u, i, t in rows)]) + "\n")
    return read_interactions(path, 3, **options)


def fit_report(folder: Path, read: Interactions) -> dict:
    """Metrics of the model and of the baselines, of the validation and of the test."""
    data = FitData(read, ItemFeatures())
    report = train_on(SASREC, data, 1, 20, lambda _: None, folder / "to")
    baselines = evaluate_baselines(data, KNN, 1, 20)
    return {"chosen": report["chosen"], "test": report["test"], "baselines": baselines, "users": report["users"]}


def test_repeated_rows_change_no_metric(tmp_path):
    """Every row twice; 500 rows again at later times, as a log repeats itself."""
    rows = made_rows()
    once = fit_report(tmp_path, read_rows(tmp_path, rows))
    later = [(user, item, time + 5_000_000) for user, item, time in random.Random(0).choices(rows, k=500)]
    for repeated, count in (
        (rows + rows, len(rows)),
        ([row for row in rows for _ in range(2)], len(rows)),
        (rows + later, 500),
    ):
        read = read_rows(tmp_path, repeated)
        assert read.counts["repeats"] == {"rule": "first", "rows": count}
        assert any(f"{count:,} rows repeat an item of their user: left out" in notice for notice in read.notices)
        assert fit_report(tmp_path, read) == once
    assert 0 < once["test"]["all"]["hit@10"] < 0.6  # random items: chance is one in six


def test_each_rule_reads_its_rows(tmp_path):
    rows = [("u", "a", 1), ("u", "b", 2), ("u", "a", 3), ("u", "c", 4), ("u", "b", 5), ("u", "a", 6)]
    expected = {"first": ["a", "b", "c"], "last": ["c", "b", "a"], "keep": ["a", "b", "a", "c", "b", "a"]}
    for rule, items in expected.items():
        read = read_rows(tmp_path, rows, repeats=rule)
        assert read.vocabulary.ids(read.sequences[0]) == items
        assert read.counts["repeats"] == {"rule": rule, "rows": 3} and read.last_times == [6]


def test_users_are_counted_without_their_repeats(tmp_path):
    with pytest.raises(InputError, match="no user has 3 or more"):
        read_rows(tmp_path, [("u", "a", 1), ("u", "b", 2), ("u", "a", 3), ("u", "a", 4)])


@pytest.mark.parametrize("rule", ["first", "keep"])
def test_the_popularity_baseline_is_the_one_counted_by_hand(tmp_path, rule):
    """The rank of each user's last item among all items, with or without those of the history, ties by expectation."""
    rows = made_rows(40, 15)
    rows += [(user, item, time + 10_000_000) for user, item, time in rows[::3]]
    histories: dict[str, list[str]] = {}
    for user, item, _ in sorted(rows, key=lambda row: row[2]):
        if rule == "keep" or item not in histories.setdefault(user, []):
            histories.setdefault(user, []).append(item)
    histories = {user: items for user, items in histories.items() if len(items) >= 3}
    catalogue = sorted({item for items in histories.values() for item in items})
    count = {item: sum(item in items[:-2] for items in histories.values()) for item in catalogue}
    hits = []
    for items in histories.values():
        ranked = [i for i in catalogue if i == items[-1] or rule == "keep" or i not in items[:-1]]
        better = sum(count[i] > count[items[-1]] for i in ranked)
        equal = sum(count[i] == count[items[-1]] for i in ranked)
        hits.append(sum(better + k < 10 for k in range(equal)) / equal)
    data = FitData(read_rows(tmp_path, rows, repeats=rule), ItemFeatures())
    reported = evaluate_baselines(data, KNN, 1, 0)["popularity"]["all"]
    assert reported["hit@10"] == pytest.approx(np.mean(hits), abs=1e-12)


def test_seen_items_are_masked_alike_in_the_evaluation_and_in_predictions(tmp_path):
    """A stored model offers seen items exactly if its evaluation ranked them."""
    model, vocabulary = made_model("sasrec"), Vocabulary(f"i{k:02}" for k in range(ITEMS))
    histories, popularity = sequences_from_lists([[1, 2, 3], [4, 5]]), np.ones(ITEMS + 1, dtype=np.float32)
    for rule in ("first", "last", "keep", None):
        save_model(StoredModel(model, vocabulary, popularity, {}, rule), model_params("sasrec"), tmp_path / "model")
        offered = predict(load_model(tmp_path / "model"), histories, ITEMS).items
        assert [len(items) for items in offered] == ([ITEMS, ITEMS] if rule == "keep" else [ITEMS - 3, ITEMS - 2])
        targets = np.array([7, 9])
        better, _ = ranks(model, histories, targets, mask_history=rule != "keep")
        assert [
            items.index(f"i{target - 1:02}") for items, target in zip(offered, targets, strict=True)
        ] == better.tolist()


def test_seen_items_are_sampled_as_negatives_only_where_repeats_are_kept(tmp_path):
    """Three items of nine, taken over and over: the other eight are negatives, or those six that were never taken."""
    rows = [(f"u{user}", f"i{(user % 7 + step % 3) % 9}", step) for user in range(70) for step in range(7)]
    kept, once = (FitData(read_rows(tmp_path, rows, repeats=rule), ItemFeatures()) for rule in ("keep", "first"))
    assert set(evaluate_baselines(kept, KNN, 1, 8)["item_knn"]) == {"all", "uniform", "popularity"}
    with pytest.raises(InputError, match="only 6 items left to sample 8"):
        evaluate_baselines(once, KNN, 1, 8)


def test_the_tables_of_the_pipeline_hold_no_repeats(tmp_path):
    row = {"user_id": "u", "domain": "books", "item_id": "a", "rating": 5.0, "time": 1, "held_out": False}
    again = row | {"time": 2, "held_out": True}
    table = pl.DataFrame([row, again], schema=dict(SPLIT_INTERACTIONS.columns))
    with pytest.raises(InputError, match="two rows have the same user_id, item_id"):
        write_table(table, tmp_path / "train.parquet", SPLIT_INTERACTIONS)
