"""The distillation specification: K of the metrics, config groups, four durations, and DLLM2Rec's folder as it lies.

The folder is laid out as DLLM2Rec's README says: myrank_train.txt and confidence_train.txt (training rows x top n), and
all_embeddings.pt (items x width); it has no table of rows or items."""

import inspect
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from typer.testing import CliRunner

from kitrec.cli.main import app
from kitrec.config import profiles
from kitrec.config.sections import validate_tree
from kitrec.core import files, params, tables
from kitrec.core.errors import InputError
from kitrec.distillation.comparison import compare_students
from kitrec.distillation.item_embeddings import read_embeddings
from kitrec.ilora.user_tasks import tasks_from_steps
from kitrec.recommenders.data.user_histories import history_interactions, user_targets
from kitrec.recommenders.sequence_training import Validation
from kitrec.recommenders.storage import StoredModel
from kitrec.schemas.interactions import SPLIT_INTERACTIONS
from kitrec.schemas.teacher_lists import TEACHER_LISTS
from stages.lib.distillation_cost import write_durations
from tests.conftest import ROOT
from tests.distillation.made_teachers import VOCABULARY
from tests.recommenders.made_models import ITEMS, made_model, made_sequences

TOP, WIDTH = 10, 16
DURATIONS = (
    "teacher_train_time_total",
    "distill_teacher_export_time",
    "student_baseline_train_time",
    "distill_student_train_time",
)


def run(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


# ---- Recall@K, NDCG@K, HitRatio@K with K of the params


def test_k_of_the_metrics_is_a_param():
    model = StoredModel(made_model("sasrec"), VOCABULARY, np.ones(ITEMS + 1, dtype=np.float32), {})
    test = Validation(made_sequences(20, seed=4), np.arange(20) % ITEMS + 1)
    compared = compare_students([model], [model], test, depth=3, cutoffs=[3, 7])
    expected = {f"{name}@{k}" for name in ("hit", "recall", "ndcg") for k in (3, 7)} | {"mrr"}
    assert set(compared["baseline"]) == expected == set(compared["distilled"])
    assert compared["baseline"]["recall@7"] == compared["baseline"]["hit@7"]
    assert params.read(ROOT / "params.yaml")["distillation"]["cutoffs"] == [1, 5, 10, 20]


# ---- conf/{dataset,teacher,student,distill}


@pytest.mark.parametrize("group", ["dataset", "teacher", "student", "distill"])
def test_every_group_of_the_specification_has_profiles_that_are_valid(group, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    names = profiles.available()[group]
    assert len(names) >= 2 and (group == "dataset" or any("paper" in name for name in names))
    for name in names:
        path = tmp_path / f"{name}.yaml"
        path.write_text((ROOT / "params.yaml").read_text())
        profiles.use(path, [f"{group}={name}"])
        validate_tree(params.read(path), path)


def test_groups_of_a_distillation_set_different_keys():
    keys = {}
    for group in ("teacher", "student", "distill"):
        trees = [params.read(path) for path in (ROOT / "conf" / group).glob("*.yaml")]
        keys[group] = {key for tree in trees for key in profiles.leaves(tree)}
    assert not keys["teacher"] & keys["student"] and not (keys["teacher"] | keys["student"]) & keys["distill"]


# ---- A list for every training row


def test_a_teacher_lists_every_step_of_a_user_not_only_the_newest(dataset, items):
    interactions = dataset.interactions["train"]
    catalogue = pl.DataFrame([{"item_id": key, "domain": item["domain"]} for key, item in items.items()])
    steps = {n: tasks_from_steps(interactions, catalogue, "both", newest=n, count=5, seed=1) for n in (1, None)}
    users = user_targets(interactions)
    rows = history_interactions(interactions, users, "both")
    numbered = rows.with_columns(position=pl.int_range(pl.len()).over("user_id", "target"))
    expected = numbered.filter(pl.col("domain") == pl.col("target"), pl.col("position") > 0).height
    assert steps[None].height == expected > 2 * steps[1].height
    assert steps[1].join(steps[None], on=["user_id", "target", "prefix_length"], how="anti").is_empty()
    assert params.read(ROOT / "params.yaml")["ilora"]["tasks"]["listed_steps"] == "all"


# ---- metrics/time.json


def test_the_four_durations_of_every_pair_stand_in_one_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number, pair in enumerate(("sasrec-oracle", "gru4rec-oracle")):
        files.write_json(dict.fromkeys(DURATIONS, float(number)), Path(f"metrics/time/{pair}.json"))
    write_durations()
    written = files.read_json(Path("metrics/time.json"))
    assert list(written) == ["gru4rec-oracle", "sasrec-oracle"] and tuple(written["sasrec-oracle"]) == DURATIONS


def test_no_stage_depends_on_the_durations():
    outs_and_deps = (ROOT / "dvc.yaml").read_text()
    assert "metrics/time.json" not in outs_and_deps


# ---- DLLM2Rec's own folder


@pytest.fixture
def published(tmp_path, dataset):
    """The interactions of a run, and a folder of lists for its training rows: the next item is in every second one."""
    interactions = dataset.interactions["train"]
    tables.write(interactions, tmp_path / "train.parquet", SPLIT_INTERACTIONS)
    users = user_targets(interactions)
    rows = history_interactions(interactions, users, "both").with_columns(
        position=pl.int_range(pl.len()).over("user_id", "target")
    )
    ids = sorted(set(interactions["item_id"]))
    number_of = {item: number for number, item in enumerate(ids)}
    order = {key: number for number, key in enumerate(users.select("user_id", "target").iter_rows())}
    kept = [row for row in rows.iter_rows(named=True) if row["position"] > 0]
    kept.sort(key=lambda row: (order[row["user_id"], row["target"]], row["position"]))
    rng = np.random.default_rng(3)
    ranks = np.array([rng.permutation(len(ids))[:TOP] for _ in kept])
    for line, row in enumerate(kept[::2]):
        others = ranks[2 * line] != number_of[row["item_id"]]
        ranks[2 * line, 0] = number_of[row["item_id"]] if others.all() else ranks[2 * line, 0]
    folder = tmp_path / "tocf/game"
    folder.mkdir(parents=True)
    np.savetxt(folder / "myrank_train.txt", ranks)  # as numpy writes by default: 1.000000000000000000e+00
    np.savetxt(folder / "confidence_train.txt", np.sort(rng.random(ranks.shape), axis=1))
    torch.save(
        torch.arange(len(ids) * WIDTH, dtype=torch.float16).reshape(-1, WIDTH) / 1e4, folder / "all_embeddings.pt"
    )
    return folder, tmp_path / "train.parquet", kept, ids


def test_the_folder_is_read_as_it_lies_and_what_was_made_is_told(published, tmp_path):
    folder, interactions, kept, ids = published
    output = run("teacher", "from-text", folder, "--to", tmp_path / "mine", "--interactions", interactions).output
    assert "lacks rows_train.tsv and items.tsv" in output and f"the {len(kept)} training rows" in output
    lists = tables.read(tmp_path / "mine/lists.parquet", TEACHER_LISTS)
    keys = [(row["user_id"], row["target"], row["position"], row["item_id"]) for row in kept]
    assert list(lists.select("user_id", "target", "prefix_length", "next_id").iter_rows()) == keys
    assert (lists["item_ids"].list.len() == TOP).all() and lists["next_id"][0] in lists["item_ids"][0]
    vectors = read_embeddings(tmp_path / "mine/vectors.safetensors")
    assert vectors.item_ids == ids and vectors.vectors.shape == (len(ids), WIDTH)
    assert vectors.vectors[2, 0] == pytest.approx(2 * WIDTH / 1e4, rel=1e-2)


def test_lists_in_another_order_are_refused(published, tmp_path):
    folder, interactions, *_ = published
    for name in ("myrank_train.txt", "confidence_train.txt"):
        lines = (folder / name).read_text().splitlines()
        (folder / name).write_text("\n".join([*lines[11:], *lines[:11]]) + "\n")
    with pytest.raises(InputError, match="its order is not that of the training rows"):
        run("teacher", "from-text", folder, "--to", tmp_path / "mine", "--interactions", interactions)
    assert not (tmp_path / "mine").exists()


def test_another_number_of_lines_or_items_is_refused(published, tmp_path):
    folder, interactions, kept, ids = published
    torch.save(torch.zeros(len(ids) - 1, WIDTH), folder / "all_embeddings.pt")
    with pytest.raises(InputError, match=f"{len(ids) - 1} vectors, but items.tsv has {len(ids)}"):
        run("teacher", "from-text", folder, "--to", tmp_path / "mine", "--interactions", interactions)
    for name in ("myrank_train.txt", "confidence_train.txt"):
        lines = (folder / name).read_text().splitlines()
        (folder / name).write_text("\n".join(lines[1:]) + "\n")
    with pytest.raises(InputError, match=f"{len(kept) - 1} lines, .* {len(kept)}"):
        run("teacher", "from-text", folder, "--to", tmp_path / "mine", "--interactions", interactions)


class Harmful:
    """Anything but a tensor."""


def test_a_pt_file_of_more_than_tensors_is_refused(published, tmp_path):
    folder, interactions, *_ = published
    torch.save(Harmful(), folder / "all_embeddings.pt")
    with pytest.raises(InputError, match="no readable all_embeddings"):
        run("teacher", "from-text", folder, "--to", tmp_path / "mine", "--interactions", interactions)


def test_without_interactions_the_way_out_is_told(published, tmp_path):
    with pytest.raises(InputError, match=r"rows_train\.tsv is missing, and so is .*nowhere"):
        run("teacher", "from-text", published[0], "--to", tmp_path / "mine", "--interactions", tmp_path / "nowhere")


def test_the_stage_writes_the_file_of_durations():
    from stages import rank_student

    assert "write_durations()" in inspect.getsource(rank_student)
