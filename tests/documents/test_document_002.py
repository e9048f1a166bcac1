"""The BERT4Rec guide's examples: its data file, its prediction call, its sizes, metrics and logged settings."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from typer.testing import CliRunner

from kitrec.cli.fit_methods import SIZES, load_fit_params, proposed_size
from kitrec.cli.main import app
from kitrec.core import params
from kitrec.core.errors import InputError
from kitrec.core.ranking_metrics import with_recall
from kitrec.onnx.inference import predict
from kitrec.recommenders.data.interaction_files import read_interactions
from kitrec.recommenders.params import SequenceMethod, selection_metric
from kitrec.recommenders.sequence_training import loop_config
from kitrec.training.selection import record_validation
from kitrec.training.state import Progress
from tests.conftest import ROOT

SMALL = ["-S", "model.hidden_size=8", "-S", "model.heads=1", "-S", "model.layers=1", "-S", "training.epochs=2"]


def run(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


def made_ratings(path: Path, *, times: bool) -> Path:
    """A file of the guide's layout: user,item,time, where the time is optional; ids are numbers."""
    rows = [
        f"{user},{1 + (user * 3 + k) % 23}" + (f",{1260759144 + 35 * k}" if times else "")
        for user in range(1, 41)
        for k in range(8)
    ]
    path.write_text("\n".join(["user,item,time" if times else "user,item", *rows]) + "\n")
    return path


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A small model of ratings without times, and what the command printed."""
    folder = tmp_path_factory.mktemp("fitted")
    ratings = made_ratings(folder / "train_ratings.csv", times=False)
    result = run(
        "fit", ratings, "--method", "bert4rec", *SMALL, "-S", "training.metric=hit@10", "--to", folder / "model"
    )
    return folder / "model", result.output


# ---- Data: columns user, item, time (optional)


def test_without_a_time_column_the_order_of_the_file_counts(tmp_path):
    path = tmp_path / "train_ratings.csv"
    path.write_text("user,item\n2,9\n1,7\n2,3\n1,5\n2,4\n")
    read = read_interactions(path)
    assert read.users == ["1", "2"]
    assert read.vocabulary.ids(read.sequences.items) == ["7", "5", "9", "3", "4"]
    assert any("the order of the file counts" in notice for notice in read.notices)
    assert (read.last_years() > 9999).all()  # nothing is left out for its release year


def test_with_a_time_column_the_times_count(tmp_path):
    path = tmp_path / "train_ratings.csv"
    path.write_text("user,item,time\n1,1029,1260759179\n1,31,1260759144\n")
    read = read_interactions(path)
    assert read.vocabulary.ids(read.sequences.items) == ["31", "1029"] and read.last_years().tolist() == [2009]


# ---- Prediction: exclude_items is one set per user


def test_items_are_excluded_for_each_user_alone(fitted):
    model, _ = fitted
    sequences = [[1, 2, 3, 4], [5, 6, 7]]
    free = predict(model, sequences, topk=10)
    first, second = free.items[0][0], free.items[1][0]
    excluded = predict(model, user_sequences=sequences, topk=10, exclude_items=[{int(first)}, set()])
    assert first not in excluded.items[0] and excluded.items[0][:9] == free.items[0][1:]
    assert excluded.items[1] == free.items[1]
    seen = predict(model, sequences, topk=10, exclude_items=[{1, 2, 3, 4}, {5, 6, 7}])  # the guide's own call
    assert seen.items == free.items
    both = predict(model, sequences, topk=10, exclude_items=[first, second])
    assert not {first, second} & {*both.items[0], *both.items[1]}


def test_sets_for_other_users_are_refused(fitted):
    with pytest.raises(InputError, match="1 collections of items for 2 users"):
        predict(fitted[0], [[1, 2], [3, 4]], exclude_items=[{1}])


# ---- Sizes by the number of users


@pytest.mark.parametrize(
    ("users", "size"), [(9_999, "small"), (10_000, "medium"), (100_000, "medium"), (100_001, "large")]
)
def test_a_size_is_proposed_by_the_number_of_users(users, size):
    p = load_fit_params(["bert4rec"], ["model.dropout=0.3"], ROOT / "params.yaml").methods["bert4rec"]
    notice = proposed_size("bert4rec", p.model, users)
    assert f"kitrec profile use idrec={size}" in notice and f"{users:,}" in notice and SIZES[size][0] in notice
    options = [part.removeprefix("bert4rec.") for part in notice.split() if part.startswith("bert4rec.model")]
    taken = load_fit_params(["bert4rec"], options, ROOT / "params.yaml").methods["bert4rec"]
    assert proposed_size("bert4rec", taken.model, users) == ""  # the options that it names give that size
    profile = params.read(ROOT / f"conf/idrec/{size}.yaml")["idrec"]["methods"]["bert4rec"]["model"]
    assert profile == SIZES[size][1]


def test_fit_proposes_the_size_and_says_why(fitted):
    assert "idrec=small is the size for fewer than 10,000 users, these data have 40" in " ".join(fitted[1].split())


# ---- Metrics: their names, and the one that selects the checkpoint


def test_recall_stands_beside_hit():
    assert list(with_recall({"hit@10": 0.4, "ndcg@10": 0.2})) == ["hit@10", "recall@10", "ndcg@10"]
    assert with_recall({"hit@5": 0.25})["recall@5"] == 0.25


def test_the_checkpoint_metric_is_a_param(fitted):
    model, output = fitted
    (best,) = model.glob("best-*")
    assert "-hit@10-" in best.name
    among_all = json.loads((model / "report.json").read_text())["test"]["all"]
    assert among_all["recall@10"] == among_all["hit@10"] and "recall@10" in output
    p = load_fit_params(["sasrec"], [], ROOT / "params.yaml").methods["sasrec"]
    assert isinstance(p, SequenceMethod) and selection_metric(p) == "ndcg@10"


def test_another_metric_selects_another_epoch():
    p = load_fit_params(["sasrec"], [], ROOT / "params.yaml").methods["sasrec"].training
    chosen = {}
    for metric in ("ndcg@10", "hit@10", "mrr"):
        selection, progress = loop_config(replace(p, metric=metric)).selection, Progress()
        for epoch, values in enumerate([(0.3, 0.1, 0.2), (0.1, 0.3, 0.1), (0.2, 0.2, 0.3)], start=1):
            progress.epoch = epoch
            progress.rows.append({"epoch": epoch, "loss": 1.0})
            record_validation(progress, selection, dict(zip(("ndcg@10", "hit@10", "mrr"), values, strict=True)))
        chosen[metric] = progress.best_epoch
    assert chosen == {"ndcg@10": 1, "hit@10": 2, "mrr": 3}


# ---- HPARAMS


def test_seed_and_sizes_are_among_the_logged_settings(fitted):
    events = EventAccumulator(str(fitted[0] / "logs"))
    events.Reload()
    content = events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    for name in (b"seed", b"data.users", b"data.items", b"data.interactions", b"model.hidden_size", b"training.metric"):
        assert name in content
