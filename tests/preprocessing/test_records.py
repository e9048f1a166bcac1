import polars as pl

from kitrec.core.domains import KITREC, SETS
from kitrec.preprocessing.dataset import ROLES, by_model, mark_last_target_items
from tests.conftest import USERS


def test_both_sets_hold_the_same_users_and_ground_truths(dataset):
    shared = ["user_id", "target", "user_type", "core", "source_items", "target_items", "gt_item_id", "gt_rating"]
    for role in ROLES:
        a, b = (dataset.records[candidate_set][role].select(shared) for candidate_set in SETS)
        assert a.equals(b)


def test_roles_are_disjoint_by_user_and_have_exact_counts(dataset):
    users = {role: set(dataset.records["A"][role]["user_id"]) for role in ROLES}
    for first in ROLES:
        for second in ROLES:
            assert first == second or not users[first] & users[second]
    sizes = {role: dataset.records["A"][role].height for role in ROLES}
    user_types = len(KITREC.user_types)
    assert sizes == {
        "train": 9 * user_types,
        "development": 3 * user_types,
        "preference": 3 * user_types,
        "test": 5 * user_types,
    }


def test_the_ground_truth_is_the_last_target_interaction_and_nothing_later_is_shown(world, dataset):
    time = {(u, i): t for u, i, t in world.interactions.select("user_id", "item_id", "time").iter_rows()}
    domain = dict(world.items.select("item_id", "domain").iter_rows())
    for role in ROLES:
        for r in dataset.records["A"][role].iter_rows(named=True):
            times = [t for (u, i), t in time.items() if u == r["user_id"] and domain[i] == r["target"]]
            assert time[r["user_id"], r["gt_item_id"]] == max(times) == r["gt_time"]
            shown = r["source_items"] + r["target_items"]
            assert r["gt_item_id"] not in shown
            assert all(time[r["user_id"], i] < r["gt_time"] for i in shown)
            assert [time[r["user_id"], i] for i in r["target_items"]] == sorted(
                time[r["user_id"], i] for i in r["target_items"]
            )
            assert len(r["target_items"]) == r["core"] - 1
            assert all(domain[i] == KITREC.source for i in r["source_items"]) and r["source_items"]


def test_every_training_record_belongs_to_one_model(dataset):
    parts = by_model(dataset.records["A"]["train"], KITREC)
    assert sum(part.height for part in parts.values()) == dataset.records["A"]["train"].height
    assert set(parts["singleft-movies"]["core"]) == {1} and parts["dualft-movies"]["core"].min() == 2
    assert set(parts["dualft-music"]["target"]) == {"music"}


def test_interactions_for_id_models_are_exactly_what_the_records_show(dataset):
    for role in ROLES:
        interactions, records = dataset.interactions[role], dataset.records["B"][role]
        shown = {
            (r["user_id"], i) for r in records.iter_rows(named=True) for i in r["source_items"] + r["target_items"]
        }
        ground_truths = {(r["user_id"], r["gt_item_id"]) for r in records.iter_rows(named=True)}
        open_rows = interactions.filter(~pl.col("held_out"))
        assert set(open_rows.select("user_id", "item_id").iter_rows()) == shown
        assert set(interactions.filter("held_out").select("user_id", "item_id").iter_rows()) == ground_truths


def test_the_last_item_of_each_target_domain_of_other_users_is_held_out():
    rows = [("a", "books", "b1", 1), ("a", "movies", "m1", 2), ("a", "movies", "m2", 3), ("a", "music", "c1", 2)]
    rows += [("a", "books", "b2", 9), ("b", "books", "b1", 1)]  # after a's last target, and of nobody with a target
    columns = ["user_id", "domain", "item_id", "time"]
    table = pl.DataFrame(rows, schema=columns, orient="row").with_columns(rating=pl.lit(5.0))
    others = mark_last_target_items(table, "books")
    marked = others.filter("held_out").select("user_id", "item_id").rows()
    assert sorted(marked) == [("a", "c1"), ("a", "m2")] and others["item_id"].to_list() == ["b1", "c1", "m1", "m2"]


def test_a_1core_user_shows_no_target_history(dataset):
    records = dataset.records["A"]["test"].filter(pl.col("core") == 1)
    assert records.height == 2 * USERS.test and records["target_items"].list.len().max() == 0
