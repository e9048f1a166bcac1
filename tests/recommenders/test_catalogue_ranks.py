"""Ranks among all items agree, for every kind of model, with candidate lists that hold all items."""

import numpy as np
import polars as pl
import pytest

from kitrec.core import tables
from kitrec.core.errors import InputError
from kitrec.evaluation.scoring import score
from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.data.user_histories import histories
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.recommenders.models import params
from kitrec.recommenders.models.registry import count_model
from kitrec.recommenders.ranking import catalogue
from kitrec.recommenders.ranking.candidates import score_records
from kitrec.recommenders.ranking.catalogue import catalogue_ranks, stored_scores
from kitrec.recommenders.storage import StoredModel
from kitrec.schemas.catalogue_ranks import CATALOGUE_RANKS
from kitrec.schemas.interactions import SPLIT_INTERACTIONS
from kitrec.schemas.rankings import from_scores
from tests.evaluation.made_records import made_records
from tests.recommenders import made_domains, made_models

BOOKS = [f"b{k:02}" for k in range(made_domains.SOURCES)]
MOVIES = [f"m{k:02}" for k in range(made_domains.TARGETS)]
UNKNOWN = ["x0", "x1"]  # movies outside the vocabulary
USERS = 40
ITEMS = pl.DataFrame(
    {
        "item_id": [*BOOKS, *MOVIES, *UNKNOWN],
        "domain": ["books"] * len(BOOKS) + ["movies"] * (len(MOVIES) + len(UNKNOWN)),
    }
)


@pytest.fixture(scope="module")
def interactions() -> pl.DataFrame:
    """Books and movies of every user; the last user has none that a model knows, one truth is unknown."""
    rng, rows = np.random.default_rng(5), []
    for user in range(USERS):
        books = list(rng.choice(BOOKS, 3, replace=False)) if user < USERS - 1 else ["x9"]
        *movies, truth = rng.choice(MOVIES, rng.integers(1, 5), replace=False) if user < USERS - 1 else ["m03"]
        listed = [("books", item) for item in books] + [("movies", item) for item in movies]
        rows += [(f"U{user}", domain, item, 4.0, time, False) for time, (domain, item) in enumerate(listed)]
        rows.append((f"U{user}", "movies", "x1" if user == 7 else truth, 4.0, 99, True))
    return pl.DataFrame(rows, schema=dict(SPLIT_INTERACTIONS.columns), orient="row")


@pytest.fixture(scope="module")
def records(interactions) -> pl.DataFrame:
    """A record per user, whose candidates are all movies that the user has not had."""
    users = [f"U{k}" for k in range(USERS)]
    movies = {user: interactions.filter(user_id=user, domain="movies") for user in users}
    seen = [movies[user].filter(~pl.col("held_out"))["item_id"].to_list() for user in users]
    truths = [movies[user].filter("held_out")["item_id"][0] for user in users]
    lists = [[item for item in [*MOVIES, *UNKNOWN] if item not in had] for had in seen]
    return made_records(lists, truths).with_columns(target_items=pl.Series(seen, dtype=pl.List(pl.String)))


def stored(kind: str) -> StoredModel:
    """A model with random weights, or one counted from made users."""
    vocabulary = Vocabulary([*BOOKS, *MOVIES])
    popularity = np.array([0, *np.random.default_rng(2).integers(1, 5, len(vocabulary))], dtype=np.float32)
    if kind in made_models.KINDS:
        model = made_models.made_model(kind, len(vocabulary))
    elif kind in made_domains.CROSS_DOMAIN:
        model = made_domains.made_model(kind)
    else:
        counted: params.NonParametricModel = {
            "popularity": params.Popularity(kind="popularity"),
            "item_knn": params.ItemKNN(kind="item_knn", neighbours=5, shrink=1.0),
        }[kind]
        model = count_model(counted, made_domains.made_users(60).histories, len(vocabulary), 0)
    return StoredModel(model, vocabulary, popularity, {})


def ranks_of(kind: str, records: pl.DataFrame, interactions: pl.DataFrame) -> pl.DataFrame:
    model = stored(kind)
    shown = histories(interactions, records.select("user_id", "target"), "both", model.vocabulary)
    return catalogue_ranks(kind, records, ITEMS, stored_scores(model, shown))


@pytest.mark.parametrize("kind", [*made_models.KINDS, *made_domains.CROSS_DOMAIN, "popularity", "item_knn"])
def test_ranks_are_those_of_a_candidate_list_of_all_items(kind, records, interactions, tmp_path):
    ranks = ranks_of(kind, records, interactions)
    tables.write(ranks, tmp_path / "ranks.parquet", CATALOGUE_RANKS)
    listed = score_records(stored(kind), records, interactions, "both").scores
    # without float32's last digits, by which two ways of multiplying differ
    rounded = [np.round(np.array(row, dtype=np.float64), 4).tolist() for row in listed]
    expected = score(from_scores(kind, records, rounded), records)["mrr"].to_numpy()
    places = np.arange(1, ranks["items"].max() + 1)
    harmonic = np.concatenate([[0.0], np.cumsum(1 / places)])
    better, equal = ranks["better"].to_numpy(), ranks["equal"].to_numpy()
    assert np.allclose((harmonic[better + equal] - harmonic[better]) / equal, expected, atol=0.02)
    assert ranks["items"].to_list() == records["candidate_ids"].list.len().to_list()


def test_users_in_chunks_have_the_same_ranks(records, interactions, monkeypatch):
    whole = ranks_of("conet", records, interactions)
    monkeypatch.setattr(catalogue, "PAIRS", 3 * ITEMS.height)
    assert ranks_of("conet", records, interactions).equals(whole)


def test_no_chunk_scores_more_pairs_than_the_limit_though_a_model_scores_items_of_both_domains(
    records, interactions, monkeypatch
):
    whole, tables_made, all_scores = ranks_of("sasrec", records, interactions), [], StoredModel.all_scores

    def recorded(self: StoredModel, shown: Sequences) -> np.ndarray:
        tables_made.append(all_scores(self, shown))
        return tables_made[-1]

    monkeypatch.setattr(StoredModel, "all_scores", recorded)
    monkeypatch.setattr(catalogue, "PAIRS", 3 * (len(BOOKS) + len(MOVIES)))
    assert ranks_of("sasrec", records, interactions).equals(whole)
    assert max(table.size for table in tables_made) == catalogue.PAIRS


def test_an_unknown_truth_stands_behind_all_known_items_tied_with_the_unknown(records, interactions):
    row = ranks_of("sasrec", records, interactions).filter(user_id="U7").row(0, named=True)
    assert row["equal"] == len(UNKNOWN) and row["better"] + row["equal"] == row["items"]


def test_a_user_without_known_items_is_ranked_by_popularity(records, interactions):
    row = ranks_of("gru4rec", records, interactions).filter(user_id=f"U{USERS - 1}").row(0, named=True)
    model = stored("gru4rec")
    counts = model.popularity[model.vocabulary.numbers(pl.Series(MOVIES))]
    assert row["better"] == (counts > counts[3]).sum() and row["equal"] == (counts == counts[3]).sum()


def test_an_oracle_ranks_first_and_equal_scores_tie_with_all(records):
    truths = records["gt_item_id"].to_list()

    def oracle(rows: np.ndarray, ids: pl.Series) -> np.ndarray:
        return np.array([[float(item == truths[row]) for item in ids] for row in rows])

    ranks = catalogue_ranks("oracle", records, ITEMS, oracle)
    assert ranks["better"].sum() == 0 and set(ranks["equal"]) == {1}
    tied = catalogue_ranks("random", records, ITEMS, lambda rows, ids: np.zeros((len(rows), len(ids))))
    assert tied["equal"].to_list() == tied["items"].to_list()


def test_a_truth_outside_its_domain_is_named(records):
    wrong = records.with_columns(gt_item_id=pl.lit("b00"))
    with pytest.raises(InputError, match=r"lacks the held-out item b00 in its domain: run `dvc repro prepare`"):
        catalogue_ranks("sasrec", wrong, ITEMS, lambda rows, ids: np.zeros((len(rows), len(ids))))


def test_histories_are_rows_of_sequences(interactions, records):
    shown = histories(interactions, records.select("user_id", "target"), "both", stored("sasrec").vocabulary)
    assert isinstance(shown, Sequences) and len(shown) == records.height
