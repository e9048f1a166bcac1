"""The stage that evaluates ThinkRec's rankings, on fabricated rankings and routing of a small world's records."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from kitrec.core import files, tables
from kitrec.schemas.rankings import RANKINGS, from_scores
from kitrec.schemas.records import RECORDS
from kitrec.schemas.routing import ROUTING
from stages import evaluate_thinkrec
from stages.lib import paths
from tests.conftest import ROOT


def made_scores(records: pl.DataFrame) -> list[list[float]]:
    """Scores that tend to be higher for the held-out item."""
    rng = np.random.default_rng(0)
    rows = records.select("candidate_ids", "gt_item_id").iter_rows()
    return [[float(rng.normal() + (item == gt)) for item in candidates] for candidates, gt in rows]


def made_routing(records: pl.DataFrame, *, groups: bool) -> pl.DataFrame:
    """The first record is answered by its group, the others by the general adapter; each prompt lacks two vectors."""
    rest = records.height - 1
    columns = {
        "record_id": records["record_id"].to_list(),
        "answered_by": ["group" if groups else "general", *["general"] * rest],
        "adapter_weights": [[0.0, 1.0], *[[1.0, 0.0]] * rest] if groups else [[1.0]] * (1 + rest),
        "group_affinities": [[1.0]] * (1 + rest) if groups else [[]] * (1 + rest),
        "user_without_vector": [False] * (1 + rest) if groups else [None] * (1 + rest),
        "candidates_without_vector": [2] * (1 + rest) if groups else [None] * (1 + rest),
    }
    return pl.DataFrame(columns, schema=dict(ROUTING.columns))


@pytest.fixture
def records(tmp_path, monkeypatch, dataset) -> dict[str, pl.DataFrame]:
    """A working folder with what inference writes for two stages; the test records by candidate set."""
    monkeypatch.chdir(tmp_path)
    for name in ("kitrec", "stages", "params.yaml"):
        (tmp_path / name).symlink_to(ROOT / name)
    tests = {which: dataset.records[which]["test"] for which in "AB"}
    for which, rows in tests.items():
        tables.write(rows, paths.set_records(which, "test"), RECORDS)
    for stage in ("text", "groups"):
        rankings = {
            f"set{which}": from_scores(f"thinkrec-{stage}", rows, made_scores(rows)) for which, rows in tests.items()
        }
        routing = {f"set{which}": made_routing(rows, groups=stage == "groups") for which, rows in tests.items()}
        tables.write_all(rankings, paths.rankings(f"thinkrec-{stage}"), RANKINGS)
        tables.write_all(routing, paths.routing(f"thinkrec-{stage}"), ROUTING)
    return tests


def test_auc_is_that_of_the_held_out_items_and_lies_in_its_interval(records):
    evaluate_thinkrec.main("text")
    metrics = files.read_json(Path("metrics/thinkrec/text.json"))
    assert set(metrics) == {"setA", "setB"}
    for which, rows in records.items():
        labels = [
            int(item == gt)
            for candidates, gt in rows.select("candidate_ids", "gt_item_id").iter_rows()
            for item in candidates
        ]
        scores = [score for of_record in made_scores(rows) for score in of_record]
        of_set = metrics[f"set{which}"]
        assert of_set["auc"] == pytest.approx(roc_auc_score(labels, scores), abs=1e-5)
        assert of_set["auc_low"] < of_set["auc"] < of_set["auc_high"]
        assert set(of_set) == {"auc", "auc_low", "auc_high", "uauc", "uauc_low", "uauc_high"}


def test_groups_add_their_routing_and_the_missing_vectors(records):
    evaluate_thinkrec.main("groups")
    metrics, count = files.read_json(Path("metrics/thinkrec/groups.json")), records["B"].height
    assert metrics["setB"]["users_without_vector"] == 0 and metrics["setB"]["candidates_without_vector"] == 2 * count
    assert metrics["routing"]["users"] == count
    assert (metrics["routing"]["group"], metrics["routing"]["general"]) == (1, count - 1)
    plotted = pl.read_csv("plots/thinkrec/groups.csv")
    assert plotted.rows() == [("group 0", "general", count - 1), ("group 0", "group", 1)]


@pytest.mark.usefixtures("records")
def test_the_same_tables_give_the_same_bytes():
    evaluate_thinkrec.main("groups")
    first = files.sha256(Path("metrics/thinkrec/groups.json"))
    evaluate_thinkrec.main("groups")
    assert files.sha256(Path("metrics/thinkrec/groups.json")) == first
