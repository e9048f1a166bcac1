"""Next-item tasks with drawn candidates."""

import pytest

from kitrec.core import tables
from kitrec.core.errors import InputError
from kitrec.ilora.tasks import TASKS, build_tasks

POOL = [f"I{k:03}" for k in range(60)]
SEQUENCES = {"a": POOL[:5], "b": POOL[10:20], "c": POOL[30:33]}
PREFIX_LENGTHS = {"a": [1, 4], "b": [2, 3, 9], "c": [2]}


def test_rows_fit_the_schema_and_state_the_next_item(tmp_path):
    tasks = build_tasks(SEQUENCES, PREFIX_LENGTHS, "music", POOL, 20, seed=3)
    tables.write(tasks, tmp_path / "t.parquet", TASKS)
    for row in tasks.iter_rows(named=True):
        sequence = SEQUENCES[row["user_id"]]
        assert row["history"] == sequence[: row["prefix_length"]]
        assert row["ground_truth"] == sequence[row["prefix_length"]]
        assert len(row["candidates"]) == 20
        assert set(row["candidates"]) & set(sequence) == {row["ground_truth"]}


def test_candidates_depend_on_seed_and_key_alone():
    tasks = build_tasks(SEQUENCES, PREFIX_LENGTHS, "music", POOL, 20, seed=3)
    single = build_tasks({"b": SEQUENCES["b"]}, {"b": [3]}, "music", POOL, 20, seed=3)
    row = next(r for r in tasks.iter_rows(named=True) if (r["user_id"], r["prefix_length"]) == ("b", 3))
    assert single["candidates"][0].to_list() == row["candidates"]
    for other in (
        build_tasks(SEQUENCES, PREFIX_LENGTHS, "music", POOL, 20, seed=4),
        build_tasks(SEQUENCES, PREFIX_LENGTHS, "movies", POOL, 20, seed=3),
    ):
        assert not other["candidates"].equals(tasks["candidates"])


def test_the_ground_truth_is_at_every_position_equally_often():
    sequences = {f"u{k}": POOL[:2] for k in range(2000)}
    tasks = build_tasks(sequences, {user: [1] for user in sequences}, "", POOL, 5, seed=0)
    positions = [candidates.index(POOL[1]) for candidates in tasks["candidates"].to_list()]
    assert all(abs(positions.count(k) / 2000 - 0.2) < 4 * (0.16 / 2000) ** 0.5 for k in range(5))


def test_too_few_items_are_refused():
    with pytest.raises(InputError, match="others cannot be drawn"):
        build_tasks(SEQUENCES, PREFIX_LENGTHS, "music", POOL[:22], 20, seed=0)
