"""Everything that learns or ranks, on a second device without a card: what was left on the host is refused.

The program runs in a process of its own (tests/run_on_card.py); it compares with the same run on the CPU."""

import json
import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT

FEW = ["sasrec", "conet", "a batch stays on the host", "a counter of the optimizer stays on the host"]
OTHERS = ["bert4rec", "gru4rec", "caser", "dtcdr", "sscdr", "bpr_mf", "student", "labelled mf", "labelled sasrec"]
LLMS = ["thinkrec", "ilora", "titles embedding", "titles title", "labels stay on the host"]


def results_of(names: list[str]) -> dict[str, str]:
    command = [sys.executable, "-m", "tests.run_on_card", *names]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def check(results: dict[str, str], names: list[str]) -> None:
    mistakes = {name: result for name, result in results.items() if "stay" in name}
    assert {name: result for name, result in results.items() if name not in mistakes and result != "equal"} == {}
    assert all("expected all tensors to be on the same device" in result for result in mistakes.values()), mistakes
    assert results.keys() == set(names)


def test_models_over_item_ids_train_and_rank_there_and_two_planted_mistakes_are_found():
    check(results_of(FEW), FEW)


@pytest.mark.slow
@pytest.mark.parametrize("names", [OTHERS, LLMS], ids=["item ids", "LLMs"])
def test_everything_else_does_too(names):
    check(results_of(names), names)
