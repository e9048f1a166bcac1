"""train_titles and rank_titles as commands of a project, both methods, from records to rankings."""

from pathlib import Path

import polars as pl
import pytest

from kitrec.config import profiles
from kitrec.core import files, tables
from kitrec.core.domains import KITREC
from kitrec.core.errors import InputError
from kitrec.llm.base.params import Base
from kitrec.llm.base.pinning import pin, write_pinned
from kitrec.schemas.interactions import SPLIT_INTERACTIONS
from kitrec.schemas.items import ITEMS
from kitrec.schemas.rankings import RANKINGS
from kitrec.schemas.records import RECORDS
from stages import check_params, rank_titles, train_titles
from stages.lib import paths
from tests.conftest import ROOT


@pytest.fixture
def project(tmp_path, monkeypatch, world, dataset) -> Path:
    for name in ("base", "conf"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    monkeypatch.chdir(tmp_path)
    profiles.use(Path("params.yaml"), ["dataset=smoke"])
    values = {"titles.train": ["embedding", "title"], "evaluation.methods": ["references", "embedding", "title"]}
    profiles.put(Path("params.yaml"), values | {"evaluation.family.pairs": [["embedding", "title"]]})
    write_pinned(pin(Base(path="base/tiny-qwen3", revision=None)))
    tables.write(world.items, paths.ITEMS, ITEMS)
    for role, interactions in dataset.interactions.items():
        tables.write(interactions, paths.interactions(role), SPLIT_INTERACTIONS)
    for which, by_role in dataset.records.items():
        tables.write(by_role["test"], paths.set_records(which, "test"), RECORDS)
        for model in KITREC.models:
            served = by_role["development"].filter(pl.col("user_type").is_in(KITREC.types_of(model)))
            tables.write(served, paths.model_records(which, model, "development"), RECORDS)
    return tmp_path


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("method", ["embedding", "title"])
def test_a_method_is_trained_and_ranks_every_candidate(dataset, method):
    train_titles.main(method, quiet=True)
    rank_titles.main(method)
    metrics = files.read_json(Path(f"metrics/train/titles-{method}.json"))
    assert 0 < metrics["ndcg@10"] <= 1 and metrics["users"] > 0
    curve = pl.read_csv(f"plots/training/titles-{method}.csv")
    assert curve["update"].to_list() == ([2, 4, 2, 4] if method == "embedding" else [2, 4])
    for which in "AB":
        ranked = tables.read(paths.of_set(paths.rankings(method), which), RANKINGS)
        both = ranked.join(dataset.records[which]["test"], on="record_id", validate="1:1")
        assert both.height == dataset.records[which]["test"].height == ranked.height
        assert both.select((pl.col("item_ids").list.sort() == pl.col("candidate_ids").list.sort()).all()).item()
        assert set(ranked["method"]) == {method} and ranked["scores"].list.n_unique().min() > 1


@pytest.mark.usefixtures("project")
def test_their_rankings_may_be_evaluated_and_stay():
    Path("data/rankings/title").mkdir(parents=True)
    Path("data/rankings/old").mkdir()
    check_params.main()
    assert [path.name for path in Path("data/rankings").iterdir()] == ["title"]
    with pytest.raises(InputError, match="there is no method 'titel'; there are embedding, title"):
        profiles.put(Path("params.yaml"), {"titles.train": ["titel"]})
