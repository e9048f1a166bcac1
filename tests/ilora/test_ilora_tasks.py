import pytest

from kitrec.core import tables
from kitrec.core.errors import InputError
from kitrec.ilora.tasks import TASKS, tasks_of

POOL = [f"I{k:03}" for k in range(60)]
SEQUENCES = {"a": POOL[:5], "b": POOL[10:20], "c": POOL[30:33]}
PLACES = {"a": [1, 4], "b": [2, 3, 9], "c": [2]}


def test_rows_keep_the_contract_and_tell_what_came_next(tmp_path):
    found = tasks_of(SEQUENCES, PLACES, "music", POOL, 20, seed=3)
    tables.write(found, tmp_path / "t.parquet", TASKS)
    for row in found.iter_rows(named=True):
        own = SEQUENCES[row["user_id"]]
        assert row["history"] == own[: row["seen"]]
        assert row["truth"] == own[row["seen"]]
        assert len(row["candidates"]) == 20
        assert set(row["candidates"]) & set(own) == {row["truth"]}


def test_a_list_belongs_to_seed_and_key_alone():
    whole = tasks_of(SEQUENCES, PLACES, "music", POOL, 20, seed=3)
    alone = tasks_of({"b": SEQUENCES["b"]}, {"b": [3]}, "music", POOL, 20, seed=3)
    row = next(r for r in whole.iter_rows(named=True) if (r["user_id"], r["seen"]) == ("b", 3))
    assert alone["candidates"][0].to_list() == row["candidates"]
    for other in (
        tasks_of(SEQUENCES, PLACES, "music", POOL, 20, seed=4),
        tasks_of(SEQUENCES, PLACES, "movies", POOL, 20, seed=3),
    ):
        assert not other["candidates"].equals(whole["candidates"])


def test_the_truth_stands_anywhere():
    sequences = {f"u{k}": POOL[:2] for k in range(2000)}
    found = tasks_of(sequences, {user: [1] for user in sequences}, "", POOL, 5, seed=0)
    places = [listed.index(POOL[1]) for listed in found["candidates"].to_list()]
    assert all(abs(places.count(k) / 2000 - 0.2) < 4 * (0.16 / 2000) ** 0.5 for k in range(5))


def test_too_few_items_are_refused():
    with pytest.raises(InputError, match="others cannot be drawn"):
        tasks_of(SEQUENCES, PLACES, "music", POOL[:22], 20, seed=0)
