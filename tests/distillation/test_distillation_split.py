"""The split of toys_s3rec, if the data is there: 8 : 1 : 1 of all rows, none twice, a user's first rows train."""

import os
from collections import Counter

import pytest

from bench.distill_data import WINDOW, split_of
from bench.public_data import VARIABLE, folder
from kitrec.recommenders.data.interaction_files import read_interactions

pytestmark = pytest.mark.skipif(VARIABLE not in os.environ, reason=f"{VARIABLE} names no folder of public data")


def test_every_row_is_in_one_part_and_training_comes_first():
    split, read = split_of("toys_s3rec", 2000), read_interactions(folder("toys_s3rec") / "interactions.tsv")
    sequences = [read.sequences[user].tolist() for user in range(2000)]
    train = split.rows.sequences
    training = [item for sequence in range(len(train)) for item in train[sequence][1:].tolist()]
    parts = Counter(training) + Counter(split.validation.targets.tolist()) + Counter(split.test.targets.tolist())
    rows = [item for sequence in sequences for item in sequence[1:]]
    assert parts == Counter(rows)
    assert len(training) == int(0.8 * len(rows))
    assert abs(len(split.validation.targets) - len(split.test.targets)) <= 1
    assert split.test.histories.lengths.max() == WINDOW
    index = {user: number for number, user in enumerate(read.users)}
    for sequence, user in enumerate(split.rows.keys["user_id"]):
        assert train[sequence].tolist() == sequences[index[user]][: len(train[sequence])]
