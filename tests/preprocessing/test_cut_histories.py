"""Cut users: natural ones first, the rest shared evenly, nothing but the newest target items left to see."""

from collections import Counter

import polars as pl
import pytest

from kitrec.core.domains import Domains
from kitrec.preprocessing.cut_histories import count_cut, cut_from_training, cut_members, removed_interactions
from kitrec.preprocessing.dataset import ROLES, build_dataset
from kitrec.preprocessing.params import Candidates, Users
from kitrec.preprocessing.users import classify, last_target_interactions, sample_roles
from kitrec.schemas.interactions import INTERACTIONS
from kitrec.schemas.items import ITEMS

DOMAINS = Domains(source="art", targets=("office",), labels={"art": "Art", "office": "Office"})
SIZES = {"overlapping_art_office": 40, "cold_start_4core_office": 3, "cold_start_2core_office": 12}
LENGTHS = {"overlapping_art_office": 7, "cold_start_4core_office": 4, "cold_start_2core_office": 2}
CATALOGUE = 60


@pytest.fixture(scope="module")
def interactions() -> pl.DataFrame:
    """Three art items, then all office items of a user; the k-th user begins at the k-th item."""
    rows, number = [], 0
    for name, users in SIZES.items():
        for _ in range(users):
            rows += [(f"u{number:03d}", "art", f"A{(number + k) % CATALOGUE}", None, k) for k in range(3)]
            office = [f"O{(number + k) % CATALOGUE}" for k in range(LENGTHS[name])]
            rows += [(f"u{number:03d}", "office", item, None, 3 + k) for k, item in enumerate(office)]
            number += 1
    return pl.DataFrame(rows, schema=dict(INTERACTIONS.columns), orient="row")


def cut(interactions, needed, seed=1):
    natural = classify(interactions, DOMAINS, 3)
    last = last_target_interactions(interactions, DOMAINS, 3)
    return natural, cut_members(seed, natural, last, DOMAINS, needed)


def test_natural_users_come_first_and_every_type_gets_what_it_lacks(interactions):
    natural, members = cut(interactions, 8)
    sizes = {name: len(users) for name, users in members.items()}
    assert [sizes[name] for name in ("cold_start_4core_office", "cold_start_3core_office", "source_only_office")] == [
        8
    ] * 3
    assert min(sizes.values()) == 8 and sum(sizes.values()) == sum(SIZES.values())
    for name, users in natural.items():
        kept = set(users) & set(members[name])
        assert len(kept) >= min(8, len(users)) and users == sorted(users)
    assert max(Counter(user for users in members.values() for user in users).values()) == 1


def test_a_shortage_is_shared_evenly(interactions):
    _, members = cut(interactions, 34)
    natural = {"cold_start_4core_office": 3, "cold_start_2core_office": 12}
    gained = {n: len(users) - natural.get(n, 0) for n, users in members.items() if n != "overlapping_art_office"}
    assert len(members["overlapping_art_office"]) == 34 and sum(gained.values()) == 6
    assert max(gained.values()) - min(gained.values()) <= 1


def test_the_choice_follows_the_seed_alone(interactions):
    assert cut(interactions, 8)[1] == cut(interactions.reverse(), 8)[1] != cut(interactions, 8, seed=2)[1]


def test_no_prompt_shows_what_was_cut_and_no_list_holds_it(interactions):
    natural, members = cut(interactions, 8)
    users = Users(train=5, preference=1, test=2, development_share=0.2, min_source_items=3, cut=True)
    roles = sample_roles(1, members, users)
    removed = removed_interactions(interactions, members, natural, DOMAINS)
    ids = [f"A{k}" for k in range(CATALOGUE)] + [f"O{k}" for k in range(CATALOGUE)]
    rows = [{"domain": "art" if i[0] == "A" else "office", "item_id": i, "title": i, "categories": []} for i in ids]
    table = pl.DataFrame(
        [{**row, "description": None, "average_rating": None, "year": None, "has_metadata": True} for row in rows],
        schema=dict(ITEMS.columns),
    )
    lists = Candidates(count=10, same_category=0, neighbours=3, popularity_matched=3)
    dataset = build_dataset(1, DOMAINS, roles, 0.2, lists, table, interactions, ("A", "B"), removed=removed)
    lost = {(user, item) for user, item in removed.iter_rows()}
    assert len(lost) > 20
    for role in ROLES:
        for record in dataset.records["A"][role].iter_rows(named=True):
            kind = DOMAINS.user_types[record["user_type"]]
            shown = {(record["user_id"], item) for item in (*record["target_items"], *record["candidate_ids"])}
            assert not shown & lost
            assert len(record["target_items"]) + 1 == record["core"] == (kind.max_target_items or 7)
            whole = interactions.filter((pl.col("user_id") == record["user_id"]) & (pl.col("domain") == "office"))
            assert [*record["target_items"], record["gt_item_id"]] == whole["item_id"].to_list()[-record["core"] :]
            assert len(record["source_items"]) == 3
        pairs = set(dataset.interactions[role].select("user_id", "item_id").iter_rows())
        assert not pairs & lost
    trained = dataset.interactions["train"]
    again = cut_from_training(interactions, removed, trained["user_id"])
    pairs = [set(rows.select("user_id", "item_id").iter_rows()) for rows in (trained, again)]
    whole = interactions.filter(pl.col("user_id").is_in(trained["user_id"].unique().implode()))
    assert not pairs[0] & pairs[1] and pairs[1] <= lost and not again["held_out"].any()
    assert pairs[0] | pairs[1] == set(whole.select("user_id", "item_id").iter_rows())
    cut_users = {user for user, _ in lost}
    counted = count_cut(roles, cut_users)
    assert counted["test"] == {
        name: n for name, groups in roles.items() if (n := len(cut_users.intersection(groups["test"])))
    }
    assert "overlapping_art_office" not in counted["train"] and counted["train"]["source_only_office"] == 5
