"""Tasks from the project's own tables: one for each record, or one for each step of a reader's sequence."""

import polars as pl

from kitrec.core.randomness import generator
from kitrec.ilora.sequence_encoder import Eyes
from kitrec.ilora.tasks import TASKS, tasks_of
from kitrec.recommenders.data.user_histories import History, history_interactions, history_lists, user_targets
from kitrec.schemas.teacher_lists import KEY


def tasks_of_records(records: pl.DataFrame, seen: pl.DataFrame, history: History) -> pl.DataFrame:
    """One task per record, in their order: its own candidates, what came before in time order."""
    who = records.select("user_id", "target")
    before = history_lists(history_interactions(seen, who, history).filter(~pl.col("held_out")), who)["items"]
    rows = records.select("user_id", "target", candidates="candidate_ids", truth="gt_item_id", history=before)
    return rows.with_columns(seen=pl.col("history").list.len().cast(pl.Int32)).select(*TASKS.columns)


def tasks_of_steps(
    seen: pl.DataFrame, items: pl.DataFrame, history: History, *, newest: int, count: int, seed: int
) -> pl.DataFrame:
    """For each training reader the newest steps to an item of the target, the held-out one first among them.

    Each has `count` candidates: the item that came next, and others of its domain that the reader never touched."""
    who = user_targets(seen)
    sequences = history_lists(history_interactions(seen, who, history), who)
    found = []
    for target in sorted(set(who["target"])):
        own = sequences.filter(pl.col("target") == target)
        taken = dict(own.select("user_id", "items").iter_rows())
        places = {
            user: [k for k, domain in enumerate(domains) if domain == target and k][-newest:]
            for user, domains in own.select("user_id", "domains").iter_rows()
        }
        found.append(tasks_of(taken, places, target, _pool(items, target), count, seed))
    return pl.concat([pl.DataFrame(schema=dict(TASKS.columns)), *found])


def with_likely_candidates(
    tasks: pl.DataFrame, eyes: Eyes, items: pl.DataFrame, *, count: int, seed: int
) -> pl.DataFrame:
    """The same tasks with other lists: the `count` items of the target that the eyes find likeliest, in a drawn order.

    What to hand on to students: the true item is there only where the eyes found it likely."""
    pools = {target: _pool(items, target) for target in tasks["target"].unique()}
    drawn = []
    for target, part in tasks.with_row_index("row").group_by("target", maintain_order=True):
        likely = eyes.likeliest(part["history"].to_list(), pools[str(target[0])], count)
        for key, own in zip(part.select(*KEY, "row").iter_rows(), likely, strict=True):
            rng = generator(seed, "order of likely candidates", *key[:-1])
            drawn.append((key[-1], [own[k] for k in rng.permutation(count)]))
    in_order = [own for _, own in sorted(drawn)]
    return tasks.with_columns(candidates=pl.Series(in_order, dtype=pl.List(pl.String)))


def _pool(items: pl.DataFrame, target: str) -> list[str]:
    return items.filter(pl.col("domain") == target)["item_id"].sort().to_list()
