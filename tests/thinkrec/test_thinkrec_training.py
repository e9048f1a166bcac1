"""Stages on the tiny base: what each may train, how a killed one resumes, and that something is learned."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from kitrec.core.errors import InputError
from kitrec.core.files import read_json, sha256
from kitrec.llm.base.params import Adapter, Base
from kitrec.llm.base.pinning import pin
from kitrec.llm.finetuning.lora import adapter_weights
from kitrec.thinkrec.adapter_mixture import mixtures
from kitrec.thinkrec.groups import with_centroids
from kitrec.thinkrec.params import (
    Clusters,
    GroupsFromFile,
    GroupsStage,
    ProjectorStage,
    Prompt,
    Reflection,
    Stages,
    TextStage,
)
from kitrec.thinkrec.rationale_teachers import TemplateTeacher
from kitrec.thinkrec.records import Record
from kitrec.thinkrec.reflection import reflect_text_stage
from kitrec.thinkrec.routing import route
from kitrec.thinkrec.stage_training import StageData, train_groups, train_projector, train_text
from kitrec.thinkrec.storage import load_trained
from kitrec.thinkrec.training import SELECTION, TrainedStage
from kitrec.thinkrec.yes_no_ranking import TransformersScorer
from kitrec.training.schedule import warmup_cosine_of_update
from kitrec.training.selection import record_validation
from kitrec.training.state import Progress
from tests.thinkrec.made_thinkrec import (
    BOTH,
    ROUTING,
    TEXT,
    made_objective,
    made_record,
    made_training_config,
    made_vectors,
)

TRAINING = made_training_config(updates=4, validate_every=2, learning_rate=2e-3)
NO_FILE = Path("nothing.csv")  # clusters read none
STAGES = Stages(
    text=TextStage(
        adapter=Adapter(rank=2, alpha=4, dropout=0.1),
        training=TRAINING,
        reflection=Reflection(rounds=1, max_mistakes=4),
    ),
    projector=ProjectorStage(expansion=2, trainable="projector", training=TRAINING),
    groups=GroupsStage(members=Clusters(kind="clusters", count=2), training=TRAINING),
)


def learnable_records(count: int, start: int = 0) -> list[Record]:
    """Return records whose title reveals the label."""
    records = []
    for k in range(start, start + count):
        word = "Violet" if k % 2 else "Copper"
        records.append(made_record(k, target_title=f"{word} {k}", history=("i1",), titles=("Film",)))
    return records


@pytest.fixture
def make_data(tmp_path, tiny_base, tokenizer):
    def make(name: str, on_validation=lambda _name, _progress: None, **changed) -> StageData:
        fields = {
            "users": made_vectors("u", 5),
            "items": made_vectors("i", 9, seed=1),
            "train": learnable_records(24),
            "valid": learnable_records(8, 100),
        }
        return StageData(
            prompt=Prompt(text=[TEXT], vectors=[BOTH], history_length=2),
            objective=made_objective(logit="yes_minus_no"),
            load_base=partial(AutoModelForCausalLM.from_pretrained, tiny_base, dtype=torch.float32),
            tokenizer=tokenizer,
            base=pin(Base(path=str(tiny_base), revision=None)),
            folder=tmp_path / name,
            work=tmp_path / f"{name}.work",
            seed=5,
            on_validation=on_validation,
            **(fields | changed),
        )

    return make


class KilledError(Exception):
    """The end of a process."""


def die(_name: str, _progress: Progress) -> None:
    raise KilledError


def weights(folder: Path) -> str:
    return sha256(folder / "adapter_model.safetensors")


def test_a_validation_of_one_label_is_refused_before_anything_is_learned(make_data):
    positives = [record for record in learnable_records(8, 100) if record.label]
    with pytest.raises(InputError, match="the 4 validation records have not both labels"):
        train_text(make_data("one", valid=positives), STAGES.text)
    assert not make_data("one").work.exists()


def test_a_validation_without_a_user_of_both_labels_has_no_uauc(make_data):
    """One row per user: AUC chooses, UAUC is not stored."""
    one_per_user = [replace(record, user=f"v{k}") for k, record in enumerate(learnable_records(4, 100))]
    train_text(make_data("one per user", valid=one_per_user), STAGES.text)
    origin = read_json(make_data("one per user").folder / "text/origin.json")
    assert 0 <= origin["auc"] <= 1 and "uauc" not in origin


def test_three_stages_each_train_their_part_and_resume_to_the_same_bytes(make_data):
    whole, killed = make_data("whole"), make_data("killed")
    assert train_text(whole, STAGES.text).progress.epoch == 2
    with pytest.raises(KilledError):
        train_text(make_data("killed", on_validation=die), STAGES.text)
    assert list((killed.work / "text").glob("last-*.safetensors")) and not (killed.folder / "text").exists()
    train_text(killed, STAGES.text)
    assert weights(whole.folder / "text") == weights(killed.folder / "text")
    text = weights(whole.folder / "text")

    train_projector(whole, STAGES.projector)
    with pytest.raises(KilledError):
        train_projector(replace(killed, on_validation=die), STAGES.projector)
    train_projector(killed, STAGES.projector)
    assert sha256(whole.folder / "projector/projector.safetensors") == sha256(
        killed.folder / "projector/projector.safetensors"
    )
    assert weights(whole.folder / "text") == text  # the adapter stays frozen

    rows = train_groups(whole, STAGES.groups, NO_FILE)
    assert set(rows) == {"group-0", "group-1"}
    origin = read_json(whole.folder / "projector/origin.json")
    assert origin["samples"] == 24 and origin["positives"] == 12
    assert origin["missing_vectors"] == 0 and origin["auc"] <= 1
    projector = sha256(whole.folder / "projector/projector.safetensors")
    assert sha256(whole.folder / "projector/projector.safetensors") == projector
    for name, trained_group in rows.items():  # a group without improvement keeps its start, and its origin says so
        progress = trained_group.progress
        updates = read_json(whole.folder / f"groups/{name}/origin.json")["updates"]
        assert (updates == 0) == (weights(whole.folder / f"groups/{name}") == text)
        assert progress.best == max(row["auc"] for row in progress.rows) if updates else progress.best_epoch == 0

    trained = load_trained(whole.load_base(), whole.tokenizer, whole.base, whole.folder, "groups")
    routing = route(["u0", "u4", "nobody"], whole.users, with_centroids(trained.groups, whole.users), ROUTING)
    scorer = TransformersScorer(trained.model, whole.composer(vectors=True), whole.objective, trained.stack)
    records = [made_record(0), made_record(4), made_record(1, history=(), titles=(), target="i3")]
    scores = scorer.probabilities([[record] for record in records], mixtures(routing.weights, "concatenation"))
    assert all(0 < float(score[0]) < 1 for score in scores) and trained.model.llm.active_adapter == "text"


@pytest.mark.parametrize("auc", [0.4, 0.6])
def test_a_group_without_improvement_keeps_the_general_adapter(make_data, monkeypatch, auc):
    data = make_data(f"group-{auc}")
    train_text(data, STAGES.text)
    train_projector(data, STAGES.projector)
    aucs = iter([0.5, auc, auc] * 2)  # at the start, and at the two validations, of two groups
    monkeypatch.setattr(
        "kitrec.thinkrec.stage_training.make_validator", lambda *_: lambda: {"auc": next(aucs), "uauc": 0.5}
    )
    train_groups(data, STAGES.groups, NO_FILE)
    kept = [weights(data.folder / f"groups/group-{group}") == weights(data.folder / "text") for group in (0, 1)]
    assert kept == [auc < 0.5] * 2


@pytest.mark.slow
def test_something_is_learned(make_data):
    training = made_training_config(updates=40, validate_every=20, batch_size=8, learning_rate=5e-3)
    trained = train_text(make_data("learned"), replace(STAGES.text, training=training))
    assert trained.progress.best > 0.9


def test_mistakes_of_the_tiny_base_are_reflected(make_data):
    data = make_data("reflected")
    train_text(data, STAGES.text)
    before = weights(data.folder / "text")
    result = reflect_text_stage(data, STAGES.text, TemplateTeacher({}))
    (only,) = result.rounds
    assert only.learned == min(4, only.mistakes) > 0
    assert only.improved == (only.after > only.before) == (weights(data.folder / "text") != before)
    assert only.improved == bool(result.samples)


def test_the_adapter_may_be_trained_with_the_projector_and_groups_continue_from_both(make_data):
    data = make_data("both")
    train_text(data, STAGES.text)
    text = weights(data.folder / "text")
    train_projector(data, replace(STAGES.projector, trainable="projector_and_adapter"))
    assert weights(data.folder / "text") == text != weights(data.folder / "projector/adapter")
    unmoved = replace(TRAINING, learning_rate=1e-12)
    train_groups(data, replace(STAGES.groups, training=unmoved), NO_FILE)
    after = load_file(data.folder / "groups/group-0/adapter_model.safetensors")
    before = load_file(data.folder / "projector/adapter/adapter_model.safetensors")
    assert all(torch.allclose(after[name], before[name], atol=1e-6) for name in before)
    for stage, moved in (("text", False), ("projector", True), ("groups", True)):
        model = load_trained(data.load_base(), data.tokenizer, data.base, data.folder, stage).model
        general = adapter_weights(model.llm, "text")
        assert all(torch.equal(general[name], before[name]) for name in before) == moved


def test_a_stage_needs_the_result_of_the_one_before_it(make_data):
    data = make_data("nothing")
    with pytest.raises(InputError, match="text is missing: train its stage first"):
        train_projector(data, STAGES.projector)
    with pytest.raises(InputError, match="groups come from user vectors"):
        train_groups(replace(data, users=None), STAGES.groups, NO_FILE)


def test_groups_of_a_file_are_kept(make_data):
    data = make_data("by hand")
    train_text(data, STAGES.text)
    train_projector(data, STAGES.projector)
    by_hand, members = replace(STAGES.groups, members=GroupsFromFile(kind="file")), {"u0": 0, "u1": 1, "u2": 1, "u3": 2}
    file = data.folder / "mine.csv"
    with pytest.raises(InputError, match=r"mine.csv is missing: a file of user_id,group_id"):
        train_groups(data, by_hand, file)
    file.write_text("user_id,group_id\n" + "".join(f"{user},{group}\n" for user, group in members.items()))
    rows = train_groups(data, by_hand, file)
    assert set(rows) == {"group-0", "group-1", "group-2"}
    assert load_trained(data.load_base(), data.tokenizer, data.base, data.folder, "groups").groups == members
    left = len({record.user for record in data.train} - set(members))
    assert read_json(data.folder / "groups/group-2/origin.json")["training_users_without_group"] == left > 0


def test_groups_of_another_projector_are_refused(make_data):
    data = make_data("retrained")
    train_text(data, STAGES.text)
    train_projector(data, STAGES.projector)
    train_groups(data, STAGES.groups, NO_FILE)
    data.work.rename(data.work.with_suffix(".old"))
    train_projector(replace(data, seed=6), STAGES.projector)
    with pytest.raises(InputError, match=r"groups belongs to another projector .*: train stage `groups` again"):
        load_trained(data.load_base(), data.tokenizer, data.base, data.folder, "groups")


def test_a_projector_of_another_adapter_is_refused(make_data):
    data = make_data("unlike")
    train_text(data, STAGES.text)
    train_projector(data, STAGES.projector)
    data.work.rename(data.work.with_suffix(".old"))
    train_text(replace(data, seed=6), STAGES.text)
    with pytest.raises(InputError, match=r"belongs to another adapter than .*: train stage `projector` again"):
        train_groups(data, STAGES.groups, NO_FILE)


def test_a_file_of_another_training_is_refused(make_data):
    data = make_data("other")
    (data.work / "text").mkdir(parents=True)
    (data.work / "text" / "last-000001-auc-0.5000.safetensors").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"last-000001-auc-0.5000.safetensors belongs to another training"):
        train_text(data, STAGES.text)


def test_the_best_round_is_kept():
    progress, best_epochs = Progress(), []
    for value in (0.5, 0.7, 0.6, 0.7):
        progress.epoch += 1
        progress.rows.append({"loss": 1.0})
        record_validation(progress, SELECTION, {"auc": value})
        best_epochs.append(progress.best_epoch)
    assert best_epochs == [1, 2, 2, 2]
    assert (progress.best, progress.best_epoch, progress.epochs_without_improvement) == (0.7, 2, 2)
    assert TrainedStage(progress, {}).metrics() == {"auc": 0.7, "loss": 1.0}
    assert TrainedStage(Progress(), {}).metrics() == {"updates": 0}


def test_the_learning_rate_warms_up_and_decays_by_half_a_cosine():
    factors = [warmup_cosine_of_update(0.2, update, 10) for update in range(11)]
    assert factors[:3] == [0.5, 1.0, 1.0]
    assert factors[6] == pytest.approx(0.5) and np.isclose(factors[10], 0)
