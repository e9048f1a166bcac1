"""The trainer stands below everything it trains."""

import re
from pathlib import Path

import pytest

TRAINING = sorted((Path(__file__).resolve().parents[2] / "kitrec" / "training").glob("*.py"))


@pytest.mark.parametrize("path", TRAINING, ids=lambda path: path.name)
def test_the_trainer_imports_only_kitrecs_core(path):
    imported = re.findall(r"(?:from|import) (kitrec\.\w+)", path.read_text())
    assert set(imported) <= {"kitrec.core", "kitrec.training"}
