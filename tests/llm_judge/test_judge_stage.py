"""The stage in a project of its own: without methods it sends no request; with methods it sends each request once."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from kitrec.config import profiles
from kitrec.core import files, params, tables
from kitrec.schemas.items import ITEMS
from kitrec.schemas.rankings import RANKINGS
from kitrec.schemas.records import RECORDS
from kitrec.schemas.verdicts import PAIR_VERDICTS, RATINGS, VERDICTS
from tests.chat_server import ChatServer, completion, serve
from tests.conftest import ROOT
from tests.llm_judge.made_judge import made_rankings


@dataclass
class Project:
    """A folder with the inputs of the stage."""

    folder: Path

    def put(self, **values: Any) -> None:
        """Set keys of the section as `kitrec profile` does."""
        profiles.put(self.folder / "params.yaml", {f"judge.{key.replace('__', '.')}": v for key, v in values.items()})

    def judge(self) -> subprocess.CompletedProcess[str]:
        environment = {key: value for key, value in os.environ.items() if key != "OPENAI_API_KEY"}
        command = [sys.executable, "-m", "stages.judge"]
        return subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=120, check=False
        )

    def metrics(self) -> dict[str, Any]:
        return files.read_json(self.folder / "metrics/judge.json")

    def results(self) -> dict[str, str]:
        """Return hashes of all outputs of the stage except its cost."""
        paths = [*(self.folder / "data/judge").rglob("*"), self.folder / "metrics/judge.json"]
        return {str(path): files.sha256(path) for path in paths if path.is_file()}


@pytest.fixture
def project(tmp_path, dataset, world, in_project) -> Project:
    for name in ("kitrec", "stages", "conf"):
        (tmp_path / name).symlink_to(in_project / name)
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    tables.write(world.items, tmp_path / "data/items.parquet", ITEMS)
    records = dataset.records["A"]["test"]
    tables.write(records, tmp_path / "data/records/setA/test.parquet", RECORDS)
    for name in ("kitrec_full", "base_direct"):
        written = made_rankings(records, name, lambda r, name=name: f"{name} for {r['user_id']}.")
        tables.write(written, tmp_path / f"data/rankings/{name}/setA.parquet", RANKINGS)
    return Project(tmp_path)


def reply(request: dict[str, Any]) -> tuple[int, Any]:
    """Rate one method 7 and the other 3; of a pair prefer the better one in either order."""
    shown = request["messages"][1]["content"]
    if request["response_format"]["json_schema"]["name"] == "comparison":
        first = shown.index("kitrec_full for") < shown.index("base_direct for")
        return 200, completion(json.dumps({"winner": "first" if first else "second"}))
    return 200, completion(json.dumps(dict.fromkeys(RATINGS, 7 if "kitrec_full for" in shown else 3)))


def test_the_shipped_stage_is_off_and_writes_empty_tables(project):
    assert params.read(ROOT / "params.yaml")["judge"]["methods"] == []
    done = project.judge()
    assert done.returncode == 0, done.stderr
    assert project.metrics() == {} and not list((project.folder / "data/judge/replies").iterdir())
    for name, table in (("verdicts", VERDICTS), ("pairs", PAIR_VERDICTS)):
        assert tables.read(project.folder / f"data/judge/{name}.parquet", table).is_empty()


def test_every_request_is_sent_once(project):
    chat = ChatServer(reply)
    server = serve(chat)
    project.put(
        methods=["kitrec_full", "base_direct"],
        pairs=[["kitrec_full", "base_direct"]],
        endpoint__url=chat.url,
        endpoint__input_price=1.0,
        endpoint__output_price=10.0,
    )
    first = project.judge()
    server.shutdown()
    server.server_close()
    assert first.returncode == 0, first.stderr
    assert len(chat.requests) == 2 * 50 * 2 + 2 * 50 * 2  # methods x records x repeats, and orders instead of methods
    summary = project.metrics()
    assert [summary["methods"][name]["overall"]["mean"] for name in ("kitrec_full", "base_direct")] == [7.0, 3.0]
    pair = summary["pairs"]["kitrec_full against base_direct"]
    assert pair["wins"] == 1.0 and pair["first_position_wins"] == 0.5
    assert summary["spent"]["money"] == pytest.approx(400 * (100 * 1 + 10 * 10) / 1e6)
    verdicts = pl.read_parquet(project.folder / "data/judge/verdicts.parquet")
    kept = {path.stem for path in (project.folder / "data/judge/replies").iterdir()}
    assert verdicts.height == 200 and set(verdicts["reply"]) < kept and len(kept) == 400
    before = project.results()
    for lost in (".work", "data/judge"):  # a fresh clone after `dvc pull`; another experiment's `dvc checkout`
        shutil.rmtree(project.folder / lost)
        again = project.judge()
        assert again.returncode == 0, again.stderr
        assert project.results() == before
        assert files.read_json(project.folder / "metrics/cost/judge.json")["requests"] == 0


def test_an_error_is_one_message_without_a_traceback(project):
    project.put(methods=["kitrec_full"])
    done = project.judge()
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "error: 100 replies of mistralai/" in done.stderr and "endpoint.url is null" in done.stderr
