"""Stages on the tiny base: what each may move, what a broken-off one comes to, and that something is learned."""

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
from kitrec.llm.base.pinning import pin
from kitrec.llm.finetuning.params import Base
from kitrec.thinkrec.groups import grouped
from kitrec.thinkrec.model import adapter_weights
from kitrec.thinkrec.params import (
    Adapter,
    Clusters,
    GivenGroups,
    GroupsStage,
    ProjectorStage,
    Prompt,
    Reflection,
    Stages,
    TextStage,
)
from kitrec.thinkrec.rationale_teachers import TemplateTeacher
from kitrec.thinkrec.records import Record
from kitrec.thinkrec.reflection_training import train_reflection
from kitrec.thinkrec.routing import route
from kitrec.thinkrec.stage_training import StageData, train_groups, train_projector, train_text
from kitrec.thinkrec.storage import load_trained
from kitrec.thinkrec.training import SELECTION, TrainedStage
from kitrec.thinkrec.yes_no_ranking import Asker
from kitrec.training.schedule import warmup_cosine_of_update
from kitrec.training.selection import record_validation
from kitrec.training.state import Progress
from tests.thinkrec.made_thinkrec import BOTH, ROUTING, TEXT, a_course, a_record, an_objective, vectors

COURSE = a_course(updates=4, judge_every=2, learning_rate=2e-3)
NO_FILE = Path("nothing.csv")  # clusters read none
STAGES = Stages(
    text=TextStage(
        adapter=Adapter(rank=2, alpha=4, dropout=0.1), course=COURSE, reflection=Reflection(rounds=1, cases=4)
    ),
    projector=ProjectorStage(expansion=2, moves="projector", course=COURSE),
    groups=GroupsStage(members=Clusters(kind="clusters", count=2), course=COURSE),
)


def taught(count: int, start: int = 0) -> list[Record]:
    """Liked are films whose title says so."""
    found = []
    for k in range(start, start + count):
        word = "Violet" if k % 2 else "Copper"
        found.append(a_record(k, target_title=f"{word} {k}", history=("i1",), titles=("Film",)))
    return found


@pytest.fixture
def given(tmp_path, tiny_base, tokenizer):
    def make(name: str, told=lambda _name, _progress: None, **changed) -> StageData:
        own = {"users": vectors("u", 5), "items": vectors("i", 9, seed=1), "train": taught(24), "valid": taught(8, 100)}
        return StageData(
            prompt=Prompt(text=[TEXT], vectors=[BOTH], history=2),
            objective=an_objective(logit="yes_minus_no"),
            load_base=partial(AutoModelForCausalLM.from_pretrained, tiny_base, dtype=torch.float32),
            tokenizer=tokenizer,
            base=pin(Base(path=str(tiny_base), revision=None)),
            folder=tmp_path / name,
            work=tmp_path / f"{name}.work",
            seed=5,
            on_validation=told,
            **(own | changed),
        )

    return make


class KilledError(Exception):
    """The end of a process."""


def die(_name: str, _progress: Progress) -> None:
    raise KilledError


def weights(folder: Path) -> str:
    return sha256(folder / "adapter_model.safetensors")


def test_a_validation_of_one_label_is_refused_before_anything_is_learned(given):
    liked = [own for own in taught(8, 100) if own.label]
    with pytest.raises(InputError, match="the 4 validation records have not both labels"):
        train_text(given("one", valid=liked), STAGES.text)
    assert not given("one").work.exists()


def test_a_validation_without_a_reader_of_both_labels_has_no_uauc(given):
    """One row a reader: AUC chooses, UAUC is not told."""
    each = [replace(own, user=f"v{k}") for k, own in enumerate(taught(4, 100))]
    train_text(given("each", valid=each), STAGES.text)
    told = read_json(given("each").folder / "text/origin.json")
    assert 0 <= told["auc"] <= 1 and "uauc" not in told


def test_three_stages_each_move_their_own_part_and_go_on_to_the_same_bytes(given):
    whole, broken = given("whole"), given("broken")
    assert train_text(whole, STAGES.text).progress.epoch == 2
    with pytest.raises(KilledError):
        train_text(given("broken", told=die), STAGES.text)
    assert list((broken.work / "text").glob("last-*.safetensors")) and not (broken.folder / "text").exists()
    train_text(broken, STAGES.text)
    assert weights(whole.folder / "text") == weights(broken.folder / "text")
    text = weights(whole.folder / "text")

    train_projector(whole, STAGES.projector)
    with pytest.raises(KilledError):
        train_projector(replace(broken, on_validation=die), STAGES.projector)
    train_projector(broken, STAGES.projector)
    assert sha256(whole.folder / "projector/projector.safetensors") == sha256(
        broken.folder / "projector/projector.safetensors"
    )
    assert weights(whole.folder / "text") == text  # the adapter stood still

    rows = train_groups(whole, STAGES.groups, NO_FILE)
    assert set(rows) == {"group-0", "group-1"}
    told = read_json(whole.folder / "projector/origin.json")
    assert told["samples"] == 24 and told["liked"] == 12 and told["missing_vectors"] == 0 and told["auc"] <= 1
    projector = sha256(whole.folder / "projector/projector.safetensors")
    assert sha256(whole.folder / "projector/projector.safetensors") == projector
    for name, trained_stage in rows.items():  # what gains nothing stays what it came from, and says so
        progress = trained_stage.progress
        updates, learned = (read_json(whole.folder / f"groups/{name}/origin.json")["updates"], progress.rows)
        assert (updates == 0) == (weights(whole.folder / f"groups/{name}") == text)
        assert progress.best == max(row["auc"] for row in learned) if updates else progress.best_epoch == 0

    trained = load_trained(whole.load_base(), whole.tokenizer, whole.base, whole.folder, "groups")
    found = route(["u0", "u4", "nobody"], whole.users, grouped(trained.groups, whole.users), ROUTING)
    asker = Asker(trained.model, whole.composer(vectors=True), whole.objective, trained.stack)
    own = [a_record(0), a_record(4), a_record(1, history=(), titles=(), target="i3")]
    scores = asker.probabilities([[record] for record in own], found.weights)
    assert all(0 < float(score[0]) < 1 for score in scores) and trained.model.llm.active_adapter == "text"


@pytest.mark.parametrize("found", [0.4, 0.6])
def test_a_group_that_gains_nothing_keeps_the_general_adapter(given, monkeypatch, found):
    own = given(f"group-{found}")
    train_text(own, STAGES.text)
    train_projector(own, STAGES.projector)
    said = iter([0.5, found, found] * 2)  # before, and at the two judgements, of two groups
    monkeypatch.setattr("kitrec.thinkrec.stage_training.judge_of", lambda *_: lambda: {"auc": next(said), "uauc": 0.5})
    train_groups(own, STAGES.groups, NO_FILE)
    kept = [weights(own.folder / f"groups/group-{group}") == weights(own.folder / "text") for group in (0, 1)]
    assert kept == [found < 0.5] * 2


@pytest.mark.slow
def test_something_is_learned(given):
    course = a_course(updates=40, judge_every=20, batch=8, learning_rate=5e-3)
    progress = train_text(given("learned"), replace(STAGES.text, course=course))
    assert progress.progress.best > 0.9


def test_mistakes_of_the_tiny_base_are_reflected(given):
    own = given("reflected")
    train_text(own, STAGES.text)
    before = weights(own.folder / "text")
    found = train_reflection(own, STAGES.text, TemplateTeacher({}))
    (only,) = found.rounds
    assert only.learned == min(4, only.mistakes) > 0
    assert only.improved == (only.after > only.before) == (weights(own.folder / "text") != before)
    assert only.improved == bool(found.samples)


def test_the_adapter_may_move_with_the_projector_and_groups_go_on_from_both(given):
    own = given("both")
    train_text(own, STAGES.text)
    text = weights(own.folder / "text")
    train_projector(own, replace(STAGES.projector, moves="projector_and_adapter"))
    assert weights(own.folder / "text") == text != weights(own.folder / "projector/adapter")
    unmoved = replace(COURSE, learning_rate=1e-12)
    train_groups(own, replace(STAGES.groups, course=unmoved), NO_FILE)
    after = load_file(own.folder / "groups/group-0/adapter_model.safetensors")
    before = load_file(own.folder / "projector/adapter/adapter_model.safetensors")
    assert all(torch.allclose(after[name], before[name], atol=1e-6) for name in before)
    for stage, moved in (("text", False), ("projector", True), ("groups", True)):
        model = load_trained(own.load_base(), own.tokenizer, own.base, own.folder, stage).model
        general = adapter_weights(model.llm, "text")
        assert all(torch.equal(general[name], before[name]) for name in before) == moved


def test_a_stage_wants_what_the_one_before_it_left(given):
    own = given("nothing")
    with pytest.raises(InputError, match="text is missing: train its stage first"):
        train_projector(own, STAGES.projector)
    with pytest.raises(InputError, match="groups come from user vectors"):
        train_groups(replace(own, users=None), STAGES.groups, NO_FILE)


def test_groups_may_be_given_and_then_are_those(given):
    own = given("by hand")
    train_text(own, STAGES.text)
    train_projector(own, STAGES.projector)
    by_hand, members = replace(STAGES.groups, members=GivenGroups(kind="given")), {"u0": 0, "u1": 1, "u2": 1, "u3": 2}
    file = own.folder / "mine.csv"
    with pytest.raises(InputError, match=r"mine.csv is missing: a file of user_id,group_id"):
        train_groups(own, by_hand, file)
    file.write_text("user_id,group_id\n" + "".join(f"{user},{group}\n" for user, group in members.items()))
    rows = train_groups(own, by_hand, file)
    assert set(rows) == {"group-0", "group-1", "group-2"}
    assert load_trained(own.load_base(), own.tokenizer, own.base, own.folder, "groups").groups == members
    left = len({record.user for record in own.train} - set(members))
    assert read_json(own.folder / "groups/group-2/origin.json")["training_users_without_group"] == left > 0


def test_groups_of_another_projector_are_refused(given):
    own = given("retrained")
    train_text(own, STAGES.text)
    train_projector(own, STAGES.projector)
    train_groups(own, STAGES.groups, NO_FILE)
    own.work.rename(own.work.with_suffix(".old"))
    train_projector(replace(own, seed=6), STAGES.projector)
    with pytest.raises(InputError, match=r"groups belongs to another projector .*: train stage `groups` again"):
        load_trained(own.load_base(), own.tokenizer, own.base, own.folder, "groups")


def test_a_projector_of_another_adapter_is_refused(given):
    own = given("unlike")
    train_text(own, STAGES.text)
    train_projector(own, STAGES.projector)
    own.work.rename(own.work.with_suffix(".old"))
    train_text(replace(own, seed=6), STAGES.text)
    with pytest.raises(InputError, match=r"belongs to another adapter than .*: train stage `projector` again"):
        train_groups(own, STAGES.groups, NO_FILE)


def test_a_file_of_another_training_is_refused(given):
    own = given("other")
    (own.work / "text").mkdir(parents=True)
    (own.work / "text" / "last-000001-auc-0.5000.safetensors").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"last-000001-auc-0.5000.safetensors belongs to another training"):
        train_text(own, STAGES.text)


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


def test_the_learning_rate_warms_up_and_falls_by_half_a_cosine():
    factors = [warmup_cosine_of_update(0.2, update, 10) for update in range(11)]
    assert factors[:3] == [0.5, 1.0, 1.0]
    assert factors[6] == pytest.approx(0.5) and np.isclose(factors[10], 0)
