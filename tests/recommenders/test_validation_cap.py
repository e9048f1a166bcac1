"""A validation of fewer users: sampled for sequence models, cross-domain models and own data; shared by processes."""

from dataclasses import dataclass, replace

import numpy as np
import polars as pl
import pytest
import torch

from kitrec.core.ranking_metrics import mean_metrics
from kitrec.recommenders.data.item_features import ItemFeatures
from kitrec.recommenders.data.sequences import leave_one_out
from kitrec.recommenders.fit import FitData, train_on, training_name
from kitrec.recommenders.sequence_training import Validation, validate
from kitrec.recommenders.train import TrainingData
from kitrec.training.distributed import DistributedContext
from tests.recommenders.made_models import made_model, made_sequences
from tests.recommenders.test_repeats import SASREC, made_rows, read_rows

VALIDATION = Validation(made_sequences(31, 1), np.arange(31) % 30 + 1)


@dataclass(frozen=True)
class Collected(DistributedContext):
    """One of several processes whose sums are taken afterwards."""

    contributions: tuple[list[float], ...] = ()

    def all_sum(self, value: float) -> float:
        self.contributions[self.rank].append(value)
        return value


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_that_validate_their_share_have_the_metrics_of_one(processes):
    model = made_model("sasrec")
    alone = validate(model, VALIDATION, DistributedContext(torch.device("cpu")))
    sums: tuple[list[float], ...] = tuple([] for _ in range(processes))
    for rank in range(processes):
        validate(model, VALIDATION, Collected(torch.device("cpu"), rank, processes, contributions=sums))
    assert np.sum(sums, axis=0) == pytest.approx(list(alone.values()), rel=1e-12)
    assert alone == mean_metrics(*VALIDATION.ranks(model), VALIDATION.depth)


def test_more_processes_than_users_change_nothing():
    model, few = made_model("sasrec"), VALIDATION.take(np.arange(2))
    sums: tuple[list[float], ...] = tuple([] for _ in range(3))
    for rank in range(3):
        validate(model, few, Collected(torch.device("cpu"), rank, 3, contributions=sums))
    alone = validate(model, few, DistributedContext(torch.device("cpu")))
    assert np.sum(sums, axis=0) == pytest.approx(list(alone.values()))


def test_own_data_are_validated_by_so_many_users_and_the_report_says_so(tmp_path):
    read = read_rows(tmp_path, made_rows())
    data = {most: FitData(read, ItemFeatures(), most) for most in ("all", 20, 1000)}
    chosen = data[20].validated(leave_one_out(read.sequences), seed=1)
    assert len(chosen) == 20 and (np.diff(chosen) > 0).all()
    reports = {most: train_on(SASREC, data[most], 1, 0, lambda _: None, tmp_path / str(most)) for most in data}
    assert reports[20]["validation_users"] == 20
    assert "validation_users" not in reports["all"] and reports["all"] == reports[1000]
    assert reports[20]["chosen"]["ndcg@10"] != reports["all"]["chosen"]["ndcg@10"]
    names = {most: training_name(SASREC, data[most], 1) for most in data}
    assert names["all"] == names[1000] != names[20]


def test_a_training_of_the_pipeline_is_validated_by_so_many_development_users(tmp_path):
    rows = [
        {"user_id": f"u{u}", "domain": domain, "item_id": f"{domain}{(u + k) % 9}", "rating": 5.0, "time": k}
        | {"held_out": domain == "movies" and k == 5}
        for u in range(30)
        for k, domain in enumerate(("books", "books", "movies", "books", "movies", "movies"))
    ]
    table = pl.DataFrame(rows)
    data = TrainingData(3, pl.DataFrame(), table, table, tmp_path)
    from kitrec.recommenders.data.item_domains import item_domains_of
    from kitrec.recommenders.data.vocabulary import Vocabulary

    vocabulary = Vocabulary(table["item_id"])
    domains = item_domains_of(table, ["movies"], vocabulary)
    whole, capped = (
        replace(data, validation_users=most).validation("both", vocabulary, domains) for most in ("all", 12)
    )
    assert (len(whole.targets), len(capped.targets)) == (30, 12)
