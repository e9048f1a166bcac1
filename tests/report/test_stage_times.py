"""The timeline by the clock: what ran side by side overlaps, long pauses are cut out, old ledgers stand first."""

import json
import subprocess
import sys
import time
from datetime import UTC, datetime

import pytest

from kitrec.report.run_sections import timeline
from kitrec.report.stage_times import Bar, most_at_once, stage_bars
from tests.conftest import ROOT
from tests.report.test_run_sections import made_cost

ORDER = ["prepare", "train_x", "evaluate"]
RUN = {
    "evaluate": made_cost(4.0, start="2026-11-29T12:30:00.000+00:00"),
    "train_x-a": made_cost(60.0, start="2026-11-29T12:00:10.000+00:00"),
    "train_x-b": made_cost(30.0, start="2026-11-29T12:00:20.500+00:00"),
    "prepare": made_cost(8.0, start="2026-11-29T12:00:00.000+00:00"),
}


def test_stages_stand_where_they_ran_and_a_pause_of_half_an_hour_is_cut_out():
    bars = stage_bars(RUN, ORDER)
    assert [(bar.stage, bar.start, bar.end) for bar in bars] == [
        ("prepare", 0, 8),
        ("train_x-a", 10, 70),  # two seconds without a stage stay
        ("train_x-b", 20.5, 50.5),
        ("evaluate", 70, 74),  # at once after the end of the longer training
    ]
    assert bars[-1].began == "2026-11-29 12:30:00" and most_at_once(bars) == 2


def test_starts_of_another_time_zone_are_the_same_moments():
    shifted = {**RUN, "train_x-b": made_cost(30.0, start="2026-11-29T21:00:20.500+09:00")}
    assert stage_bars(shifted, ORDER) == stage_bars(RUN, ORDER)


def test_ledgers_without_a_start_stand_first_in_the_order_of_the_pipeline():
    old = {"train_x-old": made_cost(100.0), "prepare": made_cost(5.0), "evaluate": RUN["evaluate"]}
    bars = stage_bars(old, ORDER)
    assert [(bar.stage, bar.start, bar.end, bar.began) for bar in bars] == [
        ("prepare", 0, 5, ""),
        ("train_x-old", 5, 105, ""),
        ("evaluate", 105, 109, "2026-11-29 12:30:00"),
    ]


@pytest.mark.parametrize(
    ("spans", "most"), [([(0, 1), (1, 2)], 1), ([(0, 3), (1, 2), (1.5, 4)], 3), ([(0, 1), (0, 1)], 2), ([], 0)]
)
def test_stages_that_follow_each_other_do_not_run_at_the_same_time(spans, most):
    assert most_at_once([Bar(f"s{k}", start, end, "") for k, (start, end) in enumerate(spans)]) == most


def test_the_section_says_what_is_known_of_the_clock():
    section = timeline(RUN, ORDER)
    assert "4 stages, 1.7 minutes in all; 1.2 by the clock" in section.text and "up to 2 side by side" in section.text
    assert "start time" not in section.text
    assert section.rows[1][:4] == ["train_x-a", "training", "2026-11-29 12:00:10", "60.0"]
    mixed = timeline(RUN | {"prepare": made_cost(5.0)}, ORDER)
    assert "Without a start time, so first and one after another: 1." in mixed.text and mixed.rows[0][2] == "unknown"
    old = timeline({"prepare": made_cost(5.0)}, ORDER)
    assert "one after another: these ledgers have no start times" in old.text and "clock" not in old.text


def test_a_ledger_has_the_moment_at_which_its_process_began():
    code = "import json, time; time.sleep(0.3); from stages.lib import cost; print(json.dumps(cost.of_this_process()))"
    before = time.time()
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    after, ledger = time.time(), json.loads(done.stdout)
    start = datetime.fromisoformat(ledger["start"])
    assert start.utcoffset() == UTC.utcoffset(None)
    assert before - 0.05 <= start.timestamp() and start.timestamp() + ledger["seconds"] <= after + 0.05
    assert ledger["seconds"] >= 0.3
