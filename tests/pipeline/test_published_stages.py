"""The stages answer, score and parse by adapters that PEFT wrote elsewhere, from a folder without any origin."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from kitrec.core import files, tables
from kitrec.core.domains import KITREC
from kitrec.llm.base.params import Base
from kitrec.llm.base.pinning import SERVED, pin, write_pinned
from kitrec.schemas.items import ITEMS
from kitrec.schemas.likelihoods import LIKELIHOODS
from kitrec.schemas.records import RECORDS
from tests.conftest import ROOT
from tests.llm.made_foreign import made_foreign


@pytest.fixture
def project(tmp_path, monkeypatch, world, dataset, tiny_base) -> Path:
    for name in ("kitrec", "stages", "base", "code.yaml", "dvc.yaml"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    tree = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
    tree["infer"]["methods"]["kitrec_full"]["model"] = "published"
    tree["infer"]["budgets"] |= {"thought_tokens": 8, "item_tokens": 16}
    YAML(typ="safe").dump(tree, tmp_path / "params.yaml")
    base = pin(Base(path="base/tiny-qwen3", revision=None))
    write_pinned(base)
    write_pinned(base, SERVED)
    tables.write(world.items, Path("data/items.parquet"), ITEMS)
    for which in ("A", "B"):
        few = dataset.records[which]["test"].unique("user_type", keep="first", maintain_order=True)
        tables.write(few, Path(f"data/records/set{which}/test.parquet"), RECORDS)
    for number, model in enumerate(KITREC.models):
        made_foreign(tiny_base, tmp_path / "models/published" / model, seed=number, use_rslora=True)
    return tmp_path


def run(stage: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", f"stages.{stage}", "kitrec_full"]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.slow
def test_answers_scores_and_rankings_of_published_adapters(project):
    answered = run("infer_vllm")
    assert answered.returncode == 0, answered.stderr[-3000:]
    assert answered.stderr.count("trained elsewhere; training data, candidate lists") == 1
    warnings = files.read_json(project / "metrics/cost/infer_vllm-kitrec_full.json")["warnings"]
    assert any(warning.startswith(", ".join(KITREC.models) + ": trained elsewhere") for warning in warnings)
    for stage in ("score_candidates", "parse_answers"):
        ran = run(stage)
        assert ran.returncode == 0, ran.stderr[-3000:]
    for which in ("A", "B"):
        scored = tables.read(Path(f"data/likelihoods/kitrec_full/set{which}.parquet"), LIKELIHOODS)
        assert scored["loglik"].null_count() == scored["error"].is_not_null().sum() == 0
    assert files.read_json(project / "metrics/answers/kitrec_full.json")["setA"]["n"] == scored.height
    shutil.rmtree(project / "models/published/dualft-music")
    assert "models/published/dualft-music" in run("infer_vllm").stderr
