import numpy as np
import polars as pl
import pytest

from kitrec.core import tables
from kitrec.distillation.alignment import whole
from kitrec.ilora.sequence_encoder import Eyes
from kitrec.ilora.tasks import TASKS
from kitrec.ilora.user_tasks import tasks_of_records, tasks_of_steps, with_likely_candidates
from kitrec.recommenders.data.user_histories import histories, training_sequences, user_targets
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.schemas.teacher_lists import KEY
from tests.ilora.made_teachers import stored_eyes


@pytest.mark.parametrize("history", ["target", "both"])
def test_a_records_task_has_the_history_of_the_models_over_numbers(dataset, history, tmp_path):
    records = dataset.records["A"]["test"]
    seen = dataset.interactions["test"]
    found = tasks_of_records(records, seen, history)
    tables.write(found, tmp_path / "t.parquet", TASKS)
    vocabulary = Vocabulary(seen["item_id"])
    wanted = histories(seen, records.select("user_id", "target"), history, vocabulary)
    for k, row in enumerate(found.iter_rows(named=True)):
        assert row["history"] == vocabulary.ids(wanted[k])
        assert row["seen"] == len(row["history"])
        assert row["truth"] not in row["history"]
    assert found["candidates"].to_list() == records["candidate_ids"].to_list()
    assert found["truth"].to_list() == records["gt_item_id"].to_list()


def test_steps_are_the_newest_items_of_the_target(dataset, world, tmp_path):
    seen, items = dataset.interactions["train"], world.items
    found = tasks_of_steps(seen, items, "both", newest=2, count=8, seed=1)
    tables.write(found, tmp_path / "t.parquet", TASKS)
    domain = dict(items.select("item_id", "domain").iter_rows())
    who = user_targets(seen)
    vocabulary = Vocabulary(seen["item_id"])
    rows = training_sequences(seen, who, "both", vocabulary)
    by_name = {name: vocabulary.ids(rows[k]) for k, name in enumerate(who.iter_rows())}
    held_out = set(seen.filter("held_out").select("user_id", "domain", "item_id").iter_rows())
    newest = found.group_by("user_id", "target").agg(pl.col("truth").sort_by("seen").last(), pl.len())
    assert set(newest.select("user_id", "target", "truth").iter_rows()) == held_out
    assert newest["len"].max() == 2
    for row in found.iter_rows(named=True):
        target = row["target"]
        own = by_name[row["user_id"], target]
        assert row["history"] == own[: row["seen"]]
        assert row["truth"] == own[row["seen"]]
        assert {domain[item] for item in row["candidates"]} == {target}
        assert set(row["candidates"]) & set(own) == {row["truth"]}
    assert np.unique(found["candidates"].list.len()).tolist() == [8]


def test_steps_are_places_of_the_students_rows(dataset, world):
    """What a teacher says of a step is found again by a student that reads the same interactions."""
    seen = dataset.interactions["train"]
    who, vocabulary = user_targets(seen), Vocabulary(seen["item_id"])
    names = whole(training_sequences(seen, who, "both", vocabulary), who).names(vocabulary)
    found = tasks_of_steps(seen, world.items, "both", newest=3, count=5, seed=1)
    joined = found.join(names, on=list(KEY), how="left")
    assert joined["own_id"].equals(found["truth"], check_names=False)


def test_likely_candidates_keep_rows_and_truths(dataset, world):
    seen = dataset.interactions["train"]
    eyes = Eyes(stored_eyes(sorted(set(seen["item_id"]))))
    tasks = tasks_of_steps(seen, world.items, "both", newest=2, count=5, seed=1)
    found = with_likely_candidates(tasks, eyes, world.items, count=7, seed=1)
    assert found.drop("candidates").equals(tasks.drop("candidates"))
    for row in found.iter_rows(named=True):
        pool = world.items.filter(pl.col("domain") == row["target"])["item_id"].sort().to_list()
        (likely,) = eyes.likeliest([row["history"]], pool, 7)
        assert sorted(row["candidates"]) == sorted(likely)
        assert not set(row["candidates"]) & set(row["history"])
    assert any(own != sorted(own) for own in found["candidates"].to_list())
    again = with_likely_candidates(tasks.reverse(), eyes, world.items, count=7, seed=1).reverse()
    assert again.equals(found)
