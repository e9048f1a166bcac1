"""train_titles, rank_titles and fuse_rankings as commands of a project, from records to rankings."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from kitrec.config import profiles
from kitrec.core import files, tables
from kitrec.core.errors import InputError
from kitrec.llm.base.params import Base
from kitrec.llm.base.pinning import pin, write_pinned
from kitrec.schemas.interactions import SPLIT_INTERACTIONS
from kitrec.schemas.items import ITEMS
from kitrec.schemas.rankings import RANKINGS, from_scores
from kitrec.schemas.records import RECORDS
from stages import check_params, fuse_rankings, rank_titles, train_titles
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
    tables.write(dataset.interactions["train"].clear(), paths.interactions("others"), SPLIT_INTERACTIONS)
    for which, by_role in dataset.records.items():
        for role in ("development", "test"):
            tables.write(by_role[role], paths.set_records(which, role), RECORDS)
    return tmp_path


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("method", ["tfidf", "embedding", "title"])
def test_a_method_is_trained_and_ranks_every_candidate(dataset, method):
    train_titles.main(method, quiet=True)
    rank_titles.main(method)
    metrics = files.read_json(Path(f"metrics/train/titles-{method}.json"))
    assert 0 < metrics["ndcg@10"] <= 1 and metrics["users"] > 0
    curve = pl.read_csv(f"plots/training/titles-{method}.csv")
    assert curve["update"].to_list() == {"tfidf": [0], "embedding": [2, 4, 2, 4], "title": [2, 4]}[method]
    chosen = files.read_json(Path(f"metrics/answers/titles-{method}.json"))
    assert chosen["setA"]["ndcg@10"] == pytest.approx(metrics["ndcg@10"], abs=1e-5)  # of the set that it is trained for
    folders = {"test": paths.rankings, "development": paths.development_rankings}
    for which, role in ((which, role) for which in "AB" for role in folders):
        ranked = tables.read(paths.of_set(folders[role](method), which), RANKINGS)
        both = ranked.join(dataset.records[which][role], on="record_id", validate="1:1")
        assert both.height == dataset.records[which][role].height == ranked.height
        assert both.select((pl.col("item_ids").list.sort() == pl.col("candidate_ids").list.sort()).all()).item()
        assert set(ranked["method"]) == {method} and ranked["scores"].list.n_unique().min() > 1


def write_rankings(method: str, dataset, truth: float) -> None:
    """Write rankings at random, with so much added to the item that was taken."""
    rng = np.random.default_rng(len(method))
    for role, folder in (("development", paths.development_rankings), ("test", paths.rankings)):
        for which in "AB":
            records = dataset.records[which][role]
            scores = [
                (rng.normal(size=len(ids)) + truth * (np.array(ids) == item)).tolist()
                for ids, item in zip(records["candidate_ids"].to_list(), records["gt_item_id"], strict=True)
            ]
            tables.write(from_scores(method, records, scores), paths.of_set(folder(method), which), RANKINGS)


def hit_rate(method: str, dataset, which: str) -> float:
    ranked = tables.read(paths.of_set(paths.rankings(method), which), RANKINGS)
    both = ranked.join(dataset.records[which]["test"], on="record_id", validate="1:1")
    return (both["item_ids"].list.first() == both["gt_item_id"]).mean()


@pytest.mark.usefixtures("project")
def test_a_fusion_of_two_that_each_know_something_knows_more(dataset):
    profiles.put(Path("params.yaml"), {"titles.fusions": {"both": {"titles": "title", "recommender": "sasrec"}}})
    write_rankings("title", dataset, truth=2.0)
    write_rankings("sasrec", dataset, truth=2.0)
    fuse_rankings.main("both")
    weights = files.read_json(Path("metrics/answers/fusion-both.json"))
    for which in "AB":
        assert 0.2 <= weights[f"set{which}"]["title_weight"] <= 0.8
        assert hit_rate("both", dataset, which) > max(hit_rate(name, dataset, which) for name in ("title", "sasrec"))
    with pytest.raises(InputError, match=r"titles.fusions.both.titles: 'titel' is not trained; add it to titles.train"):
        profiles.put(Path("params.yaml"), {"titles.fusions": {"both": {"titles": "titel", "recommender": "sasrec"}}})


@pytest.mark.usefixtures("project")
def test_their_rankings_may_be_evaluated_and_stay():
    Path("data/rankings/title").mkdir(parents=True)
    Path("data/rankings/old").mkdir()
    check_params.main()
    assert [path.name for path in Path("data/rankings").iterdir()] == ["title"]
    with pytest.raises(InputError, match="there is no method 'titel'; there are tfidf, minilm, embedding, title"):
        profiles.put(Path("params.yaml"), {"titles.train": ["titel"]})
