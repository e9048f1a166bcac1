"""The oracle of the synthetic world as a teacher: the items of highest true utility among those released by then.

    score(user, item) = U(u, i, t)     t: the time of the user's held-out choice (kitrec/synthetic/histories.py)
Items of other domains, and those not yet released, are never listed. An oracle isolates distillation from the quality
of a teacher.
Shapes: R prefixes, N items."""

import numpy as np
import polars as pl

from kitrec.distillation.alignment import KeyedSequences
from kitrec.distillation.topk_lists import Prefixes, topk_lists
from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.synthetic.histories import static_utility, utility_at
from kitrec.synthetic.params import World


def oracle_lists(
    world: World,
    rows: KeyedSequences,
    vocabulary: Vocabulary,
    interactions: pl.DataFrame,
    latent: tuple[pl.DataFrame, pl.DataFrame],
    length: int,
) -> pl.DataFrame:
    """Return a TEACHER_LISTS table of the rows whose next item is one of the target.

    `latent` are the world's true attributes of items and of users; `interactions` have the times."""
    latent_items, latent_users = latent
    numbered = pl.DataFrame({"item_id": vocabulary.item_ids})
    items = numbered.join(latent_items, on="item_id", how="left", maintain_order="left")
    held_out = interactions.filter("held_out").select("user_id", "time", target="domain")
    users = rows.keys.join(latent_users, on="user_id", how="left", maintain_order="left")
    users = users.join(held_out, on=["user_id", "target"], how="left", maintain_order="left")
    domains = items["domain"].to_numpy()

    def score(prefixes: Prefixes, _: Sequences) -> np.ndarray:
        part = users[prefixes.users]
        fixed = static_utility(world, np.array(part["favourites"].to_list()), part["community"].to_numpy(), items)
        values = utility_at(world, fixed, items, part["time"].to_numpy())
        return np.where(part["target"].to_numpy()[:, None] == domains, values, -np.inf)

    target_items = latent_items.select(next_id="item_id", target="domain")
    lists = topk_lists(rows, vocabulary, length, score)
    return lists.join(target_items, on=["next_id", "target"], how="semi")
