"""Tasks from the project's own tables of interactions and records."""

import numpy as np
import polars as pl
import pytest

from kitrec.core import tables
from kitrec.distillation.alignment import full_sequences
from kitrec.ilora.sequence_encoder import SequenceEncoder
from kitrec.ilora.tasks import TASKS
from kitrec.ilora.user_tasks import tasks_from_records, tasks_from_steps, with_top_candidates
from kitrec.recommenders.data.user_histories import histories, training_sequences, user_targets
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.schemas.teacher_lists import KEY
from tests.ilora.made_teachers import made_stored_model


@pytest.mark.parametrize("history", ["target", "both"])
def test_a_records_task_has_the_history_of_the_sequence_models(dataset, history, tmp_path):
    records = dataset.records["A"]["test"]
    interactions = dataset.interactions["test"]
    tasks = tasks_from_records(records, interactions, history)
    tables.write(tasks, tmp_path / "t.parquet", TASKS)
    vocabulary = Vocabulary(interactions["item_id"])
    expected = histories(interactions, records.select("user_id", "target"), history, vocabulary)
    for k, row in enumerate(tasks.iter_rows(named=True)):
        assert row["history"] == vocabulary.ids(expected[k])
        assert row["prefix_length"] == len(row["history"])
        assert row["ground_truth"] not in row["history"]
    assert tasks["candidates"].to_list() == records["candidate_ids"].to_list()
    assert tasks["ground_truth"].to_list() == records["gt_item_id"].to_list()


def test_steps_are_the_newest_items_of_the_target(dataset, world, tmp_path):
    interactions, items = dataset.interactions["train"], world.items
    tasks = tasks_from_steps(interactions, items, "both", newest=2, count=8, seed=1)
    tables.write(tasks, tmp_path / "t.parquet", TASKS)
    domain = dict(items.select("item_id", "domain").iter_rows())
    users = user_targets(interactions)
    vocabulary = Vocabulary(interactions["item_id"])
    rows = training_sequences(interactions, users, "both", vocabulary)
    sequences = {key: vocabulary.ids(rows[k]) for k, key in enumerate(users.iter_rows())}
    held_out = set(interactions.filter("held_out").select("user_id", "domain", "item_id").iter_rows())
    newest = tasks.group_by("user_id", "target").agg(pl.col("ground_truth").sort_by("prefix_length").last(), pl.len())
    assert set(newest.select("user_id", "target", "ground_truth").iter_rows()) == held_out
    assert newest["len"].max() == 2
    for row in tasks.iter_rows(named=True):
        target = row["target"]
        sequence = sequences[row["user_id"], target]
        assert row["history"] == sequence[: row["prefix_length"]]
        assert row["ground_truth"] == sequence[row["prefix_length"]]
        assert {domain[item] for item in row["candidates"]} == {target}
        assert set(row["candidates"]) & set(sequence) == {row["ground_truth"]}
    assert np.unique(tasks["candidates"].list.len()).tolist() == [8]


def test_steps_are_positions_of_the_students_rows(dataset, world):
    """A student of the same interactions finds the list of every step by its key."""
    interactions = dataset.interactions["train"]
    users, vocabulary = user_targets(interactions), Vocabulary(interactions["item_id"])
    rows = full_sequences(training_sequences(interactions, users, "both", vocabulary), users)
    tasks = tasks_from_steps(interactions, world.items, "both", newest=3, count=5, seed=1)
    joined = tasks.join(rows.positions(vocabulary), on=list(KEY), how="left")
    assert joined["item_id"].equals(tasks["ground_truth"], check_names=False)


def test_top_candidates_keep_rows_and_ground_truth(dataset, world):
    interactions = dataset.interactions["train"]
    encoder = SequenceEncoder(made_stored_model(sorted(set(interactions["item_id"]))))
    tasks = tasks_from_steps(interactions, world.items, "both", newest=2, count=5, seed=1)
    replaced = with_top_candidates(tasks, encoder, world.items, count=7, seed=1)
    assert replaced.drop("candidates").equals(tasks.drop("candidates"))
    for row in replaced.iter_rows(named=True):
        pool = world.items.filter(pl.col("domain") == row["target"])["item_id"].sort().to_list()
        (top_items,) = encoder.top_items([row["history"]], pool, 7)
        assert sorted(row["candidates"]) == sorted(top_items)
        assert not set(row["candidates"]) & set(row["history"])
    assert any(candidates != sorted(candidates) for candidates in replaced["candidates"].to_list())
    again = with_top_candidates(tasks.reverse(), encoder, world.items, count=7, seed=1).reverse()
    assert again.equals(replaced)
