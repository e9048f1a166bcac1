"""raw/ is refused before DVC removes what `prepare` wrote."""

import gzip
import json

import polars as pl
import pytest
from ruamel.yaml import YAML

from kitrec.core import params
from kitrec.core.domains import KITREC
from kitrec.core.errors import InputError
from kitrec.preprocessing.params import Source
from stages.lib.dvcfile import stages
from stages.lib.raw import check_first_row, check_raw
from tests.conftest import ROOT


@pytest.fixture
def source(tmp_path, monkeypatch):
    """Make a section `source` of a kind; run in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def made(kind: str) -> Source:
        tree = params.read(ROOT / "params.yaml")
        tree["source"]["kind"] = kind
        with (tmp_path / "params.yaml").open("w") as stream:
            YAML(typ="safe").dump(tree, stream)
        return params.load(Source, "source")

    return made


def test_the_check_runs_before_prepare_whenever_raw_changes():
    checks = stages()["check_params"]
    assert "raw" in checks["deps"] and "raw" in stages()["prepare"]["deps"]
    assert checks["outs"][0] in stages()["prepare"]["deps"]


@pytest.mark.parametrize(
    ("kind", "missing"), [("tables", "interactions"), ("amazon", "Books"), ("kitrec", "setA/train")]
)
def test_missing_files_are_refused(source, tmp_path, kind, missing):
    with pytest.raises(InputError, match=missing):
        check_raw(source(kind), KITREC, tmp_path / "raw")


@pytest.mark.parametrize("kind", ["synthetic", "hub"])
def test_sources_without_files_need_none(source, tmp_path, kind):
    check_raw(source(kind), KITREC, tmp_path / "raw")


def test_tables_with_other_columns_or_mostly_bad_rows_are_refused(source, tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "items.tsv").write_text("item\ttitle\tdomain\n" + "".join(f"{d}1\tA\t{d}\n" for d in KITREC.names))
    (raw / "interactions.tsv").write_text("person\titem\nu\tbooks1\n")
    with pytest.raises(InputError, match="lacks the columns user"):
        check_raw(source("tables"), KITREC, raw)
    rows = "".join(f"u{k}\t{d}1\t3\n" for k in range(3) for d in KITREC.names)
    (raw / "interactions.tsv").write_text("user\titem\trating\n" + rows)
    check_raw(source("tables"), KITREC, raw)
    (raw / "interactions.tsv").write_text("user\titem\trating\n" + rows + "u9\tbooks1\t77\n" * 5)
    with pytest.raises(InputError, match=r"of 17 rows were rejected.*(\n|.)*\.work/rejects\.jsonl"):
        check_raw(source("tables"), KITREC, raw)


def test_first_rows_in_another_format_are_refused(tmp_path):
    good, cut = tmp_path / "a.jsonl.gz", tmp_path / "b.jsonl.gz"
    with gzip.open(good, "wt") as stream:
        stream.write(json.dumps({"a": 1}) + "\n")
    check_first_row(good)
    cut.write_bytes(good.read_bytes()[:12])
    page = tmp_path / "c.jsonl"
    page.write_text("<html>Not found</html>\n")
    wrong, table = tmp_path / "d.parquet", tmp_path / "e.parquet"
    wrong.write_text("no parquet")
    pl.DataFrame({"a": [1]}).write_parquet(table)
    check_first_row(table)
    for path in (cut, page, wrong):
        with pytest.raises(InputError, match=path.name):
            check_first_row(path)
