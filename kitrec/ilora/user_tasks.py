"""Tasks from the project's own tables: one per record, or one per step of a user's sequence."""

import polars as pl

from kitrec.core.randomness import generator
from kitrec.ilora.sequence_encoder import SequenceEncoder
from kitrec.ilora.tasks import TASKS, build_tasks
from kitrec.recommenders.data.user_histories import History, history_interactions, history_lists, user_targets
from kitrec.schemas.teacher_lists import KEY


def tasks_from_records(records: pl.DataFrame, interactions: pl.DataFrame, history: History) -> pl.DataFrame:
    """Return one task per record, in their order: its own candidates after the user's history in time order."""
    users = records.select("user_id", "target")
    histories = history_lists(history_interactions(interactions, users, history).filter(~pl.col("held_out")), users)[
        "items"
    ]
    rows = records.select("user_id", "target", candidates="candidate_ids", ground_truth="gt_item_id", history=histories)
    return rows.with_columns(prefix_length=pl.col("history").list.len().cast(pl.Int32)).select(*TASKS.columns)


def tasks_from_steps(
    interactions: pl.DataFrame, items: pl.DataFrame, history: History, *, newest: int | None, count: int, seed: int
) -> pl.DataFrame:
    """Return the newest steps (None: all) of each training user to an item of the target, the held-out one among them.

    Each has `count` candidates: the next item, and others of its domain that the user never interacted with."""
    users = user_targets(interactions)
    sequences = history_lists(history_interactions(interactions, users, history), users)
    tasks = []
    for target in sorted(set(users["target"])):
        rows = sequences.filter(pl.col("target") == target)
        items_by_user = dict(rows.select("user_id", "items").iter_rows())
        prefix_lengths = {
            user: [k for k, domain in enumerate(domains) if domain == target and k][-(newest or 0) :]
            for user, domains in rows.select("user_id", "domains").iter_rows()
        }
        tasks.append(build_tasks(items_by_user, prefix_lengths, target, _item_pool(items, target), count, seed))
    return pl.concat([pl.DataFrame(schema=dict(TASKS.columns)), *tasks])


def with_top_candidates(
    tasks: pl.DataFrame, encoder: SequenceEncoder, items: pl.DataFrame, *, count: int, seed: int
) -> pl.DataFrame:
    """Replace each task's candidates by the encoder's `count` best-scored items of the target, in random order.

    These lists are for students: the next item is in one only if the encoder scores it high enough."""
    pools = {target: _item_pool(items, target) for target in tasks["target"].unique()}
    shuffled = []
    for target, part in tasks.with_row_index("row").group_by("target", maintain_order=True):
        lists = encoder.top_items(part["history"].to_list(), pools[str(target[0])], count)
        for key, candidates in zip(part.select(*KEY, "row").iter_rows(), lists, strict=True):
            rng = generator(seed, "order of likely candidates", *key[:-1])
            shuffled.append((key[-1], [candidates[k] for k in rng.permutation(count)]))
    in_order = [candidates for _, candidates in sorted(shuffled)]
    return tasks.with_columns(candidates=pl.Series(in_order, dtype=pl.List(pl.String)))


def _item_pool(items: pl.DataFrame, target: str) -> list[str]:
    return items.filter(pl.col("domain") == target)["item_id"].sort().to_list()
