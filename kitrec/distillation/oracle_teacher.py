"""The world's own knowledge as a teacher: what a reader would truly like best, of the items out by then.

    score(reader, item) = U(u, i, t)     t: the time of the reader's held-out choice (kitrec/synthetic/histories.py)
Items of other domains, and those not yet released, are never listed. It isolates distillation from a teacher's quality.
Shapes: R places, N items."""

import numpy as np
import polars as pl

from kitrec.distillation.alignment import Rows
from kitrec.distillation.prefixes import Places
from kitrec.distillation.topk_lists import listed
from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.synthetic.histories import static_utility, utility_at
from kitrec.synthetic.params import World


def oracle_lists(
    world: World,
    rows: Rows,
    vocabulary: Vocabulary,
    seen: pl.DataFrame,
    truths: tuple[pl.DataFrame, pl.DataFrame],
    length: int,
) -> pl.DataFrame:
    """A TEACHER table of the rows whose next item is one of the target.

    `truths` are the world's items and users, `seen` tells the times."""
    item_truth, user_truth = truths
    numbered = pl.DataFrame({"item_id": vocabulary.item_ids})
    items = numbered.join(item_truth, on="item_id", how="left", maintain_order="left")
    chosen = seen.filter("held_out").select("user_id", "time", target="domain")
    people = rows.who.join(user_truth, on="user_id", how="left", maintain_order="left")
    people = people.join(chosen, on=["user_id", "target"], how="left", maintain_order="left")
    domains = items["domain"].to_numpy()

    def score(places: Places, _: Sequences) -> np.ndarray:
        own = people[places.users]
        fixed = static_utility(world, np.array(own["favourites"].to_list()), own["community"].to_numpy(), items)
        values = utility_at(world, fixed, items, own["time"].to_numpy())
        return np.where(own["target"].to_numpy()[:, None] == domains, values, -np.inf)

    of_target = item_truth.select(next_id="item_id", target="domain")
    return listed(rows, vocabulary, length, score).join(of_target, on=["next_id", "target"], how="semi")
