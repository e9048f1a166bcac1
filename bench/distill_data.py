"""Public data cut as DLLM2Rec cuts its own: rows (up to 10 items, the next one), 8 : 1 : 1 in the order of time.

The files have no times, only each user's order, so the published cut cannot be repeated. Here a row's time is its
position in its user's sequence, as a share; rows of one share, such as all last ones, come in an order drawn once. Each
user's training rows come before the validation's and these before the test's, as in the original."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from bench.public_data import folder
from kitrec.core.randomness import generator
from kitrec.distillation.alignment import KeyedSequences, full_sequences
from kitrec.distillation.topk_lists import Prefixes, all_prefixes, next_items, prefix_items
from kitrec.recommenders.data.interaction_files import read_interactions
from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.recommenders.sequence_training import Validation

WINDOW, DEPTH = 10, 20
USERS = {"toys_s3rec": 19_412, "games_llmrank": 15_000}  # all of Toys; of Games the first 15,000 of 50,546


@dataclass(frozen=True)
class Split:
    """Training rows, validation and test of a data set."""

    rows: KeyedSequences  # training sequences; every position after the first is a row
    validation: Validation
    test: Validation
    vocabulary: Vocabulary


def split_of(data: str, users: int | None = None) -> Split:
    """Split the first `users` users of a data set, or as many as USERS says."""
    read = read_interactions(folder(data) / "interactions.tsv")
    sequences = read.sequences.take(np.arange(users or USERS[data]))
    positions = all_prefixes(sequences)
    time = positions.lengths / (sequences.lengths[positions.users] - 1)
    order = np.lexsort((generator(0, "8:1:1").random(len(positions)), time))
    first, second = int(0.8 * len(order)), int(0.9 * len(order))
    trained = np.bincount(positions.users[order[:first]], minlength=len(sequences))
    shown = np.where(trained > 0, trained + 1, 0)
    train = prefix_items(sequences, Prefixes(np.arange(len(sequences)), shown))
    kept = np.flatnonzero(shown)
    owners = pl.DataFrame({"user_id": np.array(read.users[: len(sequences)])[kept]}).with_columns(target=pl.lit(""))
    validation, test = (
        _rows_to_rank(sequences, positions.take(np.sort(part))) for part in (order[first:second], order[second:])
    )
    return Split(full_sequences(train.take(kept), owners), validation, test, read.vocabulary)


def _rows_to_rank(sequences: Sequences, positions: Prefixes) -> Validation:
    """Return rows with their windows and next items."""
    return Validation(prefix_items(sequences, positions).newest(WINDOW), next_items(sequences, positions), DEPTH)
