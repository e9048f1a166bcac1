"""Public data cut as DLLM2Rec cuts its own: rows (up to 10 items, the next one), 8 : 1 : 1 in the order of time.

The files have no times, only each reader's order, so the published cut cannot be made again. Here a row's time is its
place in its reader's sequence, as a share; rows of one share, such as all last ones, come in an order drawn once. Each
reader's training rows come before the validation's and these before the test's, as in the original."""

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
READERS = {"toys_s3rec": 19_412, "games_llmrank": 15_000}  # all of Toys; of Games the first 15,000 of 50,546


@dataclass(frozen=True)
class Split:
    rows: KeyedSequences  # training sequences; every place after the first is a row
    validation: Validation
    test: Validation
    vocabulary: Vocabulary


def split_of(data: str, readers: int | None = None) -> Split:
    """The first readers of a data set, as many as READERS says or fewer."""
    read = read_interactions(folder(data) / "interactions.tsv")
    sequences = read.sequences.take(np.arange(readers or READERS[data]))
    places = all_prefixes(sequences)
    time = places.lengths / (sequences.lengths[places.users] - 1)
    order = np.lexsort((generator(0, "8:1:1").random(len(places)), time))
    first, second = int(0.8 * len(order)), int(0.9 * len(order))
    learned = np.bincount(places.users[order[:first]], minlength=len(sequences))
    shown = np.where(learned > 0, learned + 1, 0)
    train = prefix_items(sequences, Prefixes(np.arange(len(sequences)), shown))
    kept = np.flatnonzero(shown)
    who = pl.DataFrame({"user_id": np.array(read.users[: len(sequences)])[kept]}).with_columns(target=pl.lit(""))
    validation, test = (
        _judged(sequences, places.take(np.sort(part))) for part in (order[first:second], order[second:])
    )
    return Split(full_sequences(train.take(kept), who), validation, test, read.vocabulary)


def _judged(sequences: Sequences, places: Prefixes) -> Validation:
    """Rows to judge: their windows and what came."""
    return Validation(prefix_items(sequences, places).newest(WINDOW), next_items(sequences, places), DEPTH)
