"""The windows of LLaRA's LastFM and the lists drawn for them."""

import os

import pytest

from bench.public_data import VARIABLE
from bench.quality_ilora import LISTED, SHORTEST, SHOWN, further_lists, read_windows

pytestmark = pytest.mark.skipif(VARIABLE not in os.environ, reason=f"{VARIABLE} names no folder of public data")


@pytest.fixture(scope="module")
def data():
    return read_windows()


def test_windows_are_those_of_the_protocol(data):
    assert {kind: len(rows) for kind, rows in data.windows.items()} == {"valid": 122, "test": 122}
    for window in (row for rows in data.windows.values() for row in rows.values()):
        assert SHORTEST <= len(window) - 1 <= SHOWN
        assert all(data.sessions.vocabulary.item_ids.count(item) == 1 for item in window[-2:])


def test_lists_hold_the_next_item_once_and_nothing_of_the_window(data):
    tasks = data.tasks("test")
    for row in tasks.iter_rows(named=True):
        assert len(set(row["candidates"])) == LISTED
        assert row["candidates"].count(row["ground_truth"]) == 1
        assert not set(row["candidates"]) & set(row["history"])
    assert tasks["candidates"].equals(data.tasks("test")["candidates"])


def test_further_lists_belong_to_their_windows(data):
    lists = further_lists(data)
    each = len(lists) // 122
    for k, window in enumerate(data.windows["test"].values()):
        for listed in lists[k * each : (k + 1) * each : 50]:
            assert listed[0] == window[-1] and len(set(listed)) == LISTED
            assert not set(listed[1:]) & set(window)
