"""`python -m stages.lib.repro`: where a run is, and what is left of it, on a small pipeline that DVC really runs."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

from stages.lib.repro import Progress, last_costs
from tests.conftest import ROOT

PIPELINE = """
stages:
  first:
    cmd: echo {text} > a
    outs: [a]
  each:
    foreach: [x, y]
    do:
      cmd: cat a > b-${{item}}
      deps: [a]
      outs: ['b-${{item}}']
  last:
    cmd: cat b-x b-y > c
    deps: [b-x, b-y]
    outs: [c]
"""


def record(message: str, stage: str) -> logging.LogRecord:
    return logging.LogRecord("dvc.stage", logging.INFO, "", 0, message, (stage,), None)


def test_lines_count_stages_and_add_up_what_they_cost_last_time(capsys):
    progress = Progress(["a", "b@x", "c", "d"], {"a": 30.0, "b@x": 100.0, "c": 3800.0})
    progress.emit(record("Running stage '%s':", "a"))
    progress.emit(record("Stage '%s' didn't change, skipping", "b@x"))
    progress.emit(record("Running stage '%s':", "c"))
    progress.emit(record("Stage '%s' is cached - skipping run, checking out outputs", "d"))
    assert capsys.readouterr().out.splitlines() == [
        "== stage 1 of 4: a, 30 s expected, about 1 h 5 min left, 1 stage of unknown cost",
        "== stage 2 of 3: c, 1 h 3 min expected, about 1 h 3 min left, 1 stage of unknown cost",
    ]


def test_costs_are_read_by_dvcs_names(tmp_path):
    for name, seconds in {"prepare": 3.5, "train_dualft-movies-full": 60.0}.items():
        (tmp_path / f"{name}.json").write_text(json.dumps({"seconds": seconds}))
    assert last_costs(tmp_path) == {"prepare": 3.5, "train_dualft@movies-full": 60.0}


def repro(folder: Path) -> list[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "DVC_NO_ANALYTICS": "1"}
    command = [sys.executable, "-m", "stages.lib.repro", "last"]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return [line for line in done.stdout.splitlines() if line.startswith("==")]


def test_a_run_counts_the_stages_that_run(tmp_path):
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q", "--no-scm"], cwd=tmp_path, check=True)
    (tmp_path / "dvc.yaml").write_text(PIPELINE.format(text="one"))
    (tmp_path / "metrics/cost").mkdir(parents=True)
    (tmp_path / "metrics/cost/each-x.json").write_text('{"seconds": 90}')
    lines = repro(tmp_path)
    assert [line.split(":")[0] for line in lines[:4]] == [f"== stage {k} of 4" for k in range(1, 5)]
    assert "each@x, 1 min 30 s expected" in " ".join(lines) and lines[4].startswith("== 4 stages ran")
    assert repro(tmp_path)[0].startswith("== every stage is up to date")
    (tmp_path / "b-x").unlink()
    assert repro(tmp_path)[-1].startswith(("== 0 stages ran", "== every stage", "== 1 stages ran"))
