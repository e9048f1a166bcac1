"""What goes wrong in practice: nothing to learn from, nothing hidden, half precision, numbers that ran away."""

import numpy as np
import pytest
import torch

from kitrec.core.errors import InputError
from kitrec.recommenders.data.item_features import ItemFeatures
from kitrec.recommenders.data.packed_batches import pack
from kitrec.recommenders.data.sequences import Sequences, sequences_from_lists
from kitrec.recommenders.data.target_batches import target_batch
from kitrec.recommenders.models.params import Masking
from kitrec.recommenders.params import Loss, SequenceMethod
from kitrec.recommenders.ranking.full import represent
from kitrec.recommenders.sequence_training import Validation, init_training, train, train_sequence_model
from kitrec.training.state import Progress
from tests.recommenders.made_models import (
    CE,
    ITEMS,
    KINDS,
    made_model,
    made_sequences,
    made_training_config,
    model_params,
)

SAMPLED = {
    "bce": Loss(kind="bce", negatives=2, calibration=0.0),
    "sampled_ce": Loss(kind="sampled_ce", negatives=4, calibration=0.0),
    "gbce": Loss(kind="gbce", negatives=4, calibration=0.75),
}
LOSSES = {"ce": CE, **SAMPLED}
NOBODY = Validation(sequences_from_lists([]), np.empty(0, dtype=np.int64))


def progress_of(model, sequences: Sequences, loss: Loss, **course) -> Progress:
    own = made_training_config(**({"mode": "full_data", "epochs": 2} | course))
    training = init_training(model, own)
    train(training, sequences, None, own, loss, seed=0, on_epoch_end=lambda _: None)
    return training.progress


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("kind", KINDS)
def test_half_precision_learns_nearly_the_same(kind, loss):
    sequences = made_sequences(50)
    exact, half = (
        progress_of(made_model(kind), sequences, LOSSES[loss], precision=precision).rows
        for precision in ("32", "16-mixed")
    )
    assert [row["loss"] for row in half] == pytest.approx([row["loss"] for row in exact], rel=0.02)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_batch_in_which_nothing_is_hidden_teaches_nothing(loss):
    model = made_model("bert4rec", masking=Masking(random=1e-9, last=0.0))
    before = {name: own.clone() for name, own in model.state_dict().items()}
    assert [
        row["loss"] for row in progress_of(model, sequences_from_lists([[3], [4]]), LOSSES[loss], batch_size=1).rows
    ] == [0.0, 0.0]
    assert all(own.equal(before[name]) for name, own in model.state_dict().items())


@pytest.mark.parametrize("kind", ["sasrec", "gru4rec", "caser"])
def test_a_user_without_items_does_not_get_the_state_of_another(kind):
    with pytest.raises(ValueError, match="without items has no state"):
        represent(made_model(kind), sequences_from_lists([[1, 2], [], [3]]))


def test_bert4rec_reads_a_user_without_items_as_a_mask_alone():
    model = made_model("bert4rec")
    together, alone = (
        represent(model, sequences_from_lists([[1, 2], [], [3]])),
        represent(model, sequences_from_lists([[]])),
    )
    assert together[1].allclose(alone[0], atol=1e-6)


def test_a_sequence_of_masks_alone_is_read_like_any_other():
    """At its longest: nothing is known, so every place says the same up to where it stands, and nothing runs away."""
    model = made_model("bert4rec")
    masks = sequences_from_lists([[model.mask_item] * model.max_length])
    states = model.restored(model(pack(masks)))
    assert states.shape[0] == model.max_length and torch.isfinite(states).all()
    alone = model.restored(model(pack(sequences_from_lists([[model.mask_item]]))))
    assert torch.isfinite(alone).all() and not torch.allclose(states[-1], states[0])


@pytest.mark.parametrize("kind", KINDS)
def test_a_longer_sequence_teaches_its_newest_part(kind):
    """What no place is left for teaches nothing (Caser: every window has its places, so it teaches all)."""
    model = made_model(kind, masking=Masking(random=0.9, last=0.9)) if kind == "bert4rec" else made_model(kind)
    own = np.random.default_rng(0).integers(1, ITEMS + 1, size=40).tolist()
    kept = own if kind == "caser" else own[-(model.max_length + (kind != "bert4rec")) :]
    whole, newest = (
        target_batch(model, sequences_from_lists([part]), np.random.default_rng(1)) for part in (own, kept)
    )
    assert torch.equal(whole.targets, newest.targets) and torch.allclose(whole.states, newest.states, atol=1e-6)
    if kind in ("sasrec", "gru4rec"):
        assert (whole.targets + 1).tolist() == own[-model.max_length :]
        assert whole.positions.tolist() == list(range(40 - model.max_length, 40))


@pytest.mark.parametrize("kind", ["sasrec", "bert4rec"])
def test_heads_that_do_not_divide_the_width_are_refused(kind):
    with pytest.raises(ValueError, match="heads: 3 does not divide hidden 16"):
        model_params(kind, heads=3)


@pytest.mark.parametrize("kind", KINDS)
def test_one_item_is_a_world_of_its_own(kind):
    rows = progress_of(made_model(kind, items=1), sequences_from_lists([[1, 1, 1]] * 3), CE).rows
    assert [row["loss"] for row in rows] == pytest.approx([0.0, 0.0], abs=1e-6)


@pytest.mark.parametrize(
    ("sequences", "loss", "items", "said"),
    [
        (sequences_from_lists([[3], [4]]), CE, ITEMS, "no user has enough known items"),
        (sequences_from_lists([]), CE, ITEMS, "no user has enough known items"),
        (sequences_from_lists([[1, 1]]), SAMPLED["gbce"], 1, r"gbce needs fewer negatives \(4\) than items \(1\)"),
        (sequences_from_lists([[1, 2]]), SAMPLED["gbce"], 4, r"gbce needs fewer negatives \(4\) than items \(4\)"),
    ],
)
def test_what_cannot_be_learned_is_told(sequences, loss, items, said):
    with pytest.raises(InputError, match=said):
        progress_of(made_model("sasrec", items=items), sequences, loss)


@pytest.mark.parametrize(
    ("mode", "judged", "rate", "said"),
    [
        ("full_data", None, 1e30, "smaller learning_rate"),
        ("standard", Validation(sequences_from_lists([[1, 2]]), np.array([3])), 1e30, "smaller learning_rate"),
        ("standard", NOBODY, 1e-3, "the validation is empty"),
    ],
)
def test_a_training_nobody_can_choose_from_is_one_message(mode, judged, rate, said, tmp_path):
    course = made_training_config(mode=mode, epochs=2, learning_rate=rate)
    method = SequenceMethod(history="both", model=model_params("sasrec"), loss=CE, training=course)
    with pytest.raises(InputError, match=said):
        train_sequence_model(method, ItemFeatures(), ITEMS, made_sequences(20), judged, 1, tmp_path, lambda _: None)


def test_patience_counts_judgements_and_files_name_what_was_watched(tmp_path):
    sequences, names = made_sequences(40), []
    long = sequences.take(np.flatnonzero(sequences.lengths > 1))
    course = made_training_config(epochs=30, validate_every=3, patience=2, learning_rate=0.5)
    method = SequenceMethod(history="both", model=model_params("sasrec"), loss=CE, training=course)

    def told(_: Progress) -> None:
        names.extend(path.name.rpartition("-")[0] for path in tmp_path.iterdir())

    fitted = train_sequence_model(
        method, ItemFeatures(), ITEMS, sequences, Validation(long.without_last(), long.last()), 1, tmp_path, told
    )
    assert names[:3] == ["last-000001-loss", "last-000002-loss", "last-000003-ndcg@10"]
    assert fitted.progress.best_epoch % 3 == 0 and fitted.progress.epoch == fitted.progress.best_epoch + 6


def test_a_kill_between_two_checkpoints_goes_on_from_the_newer(tmp_path):
    method = SequenceMethod(
        history="both", model=model_params("sasrec"), loss=CE, training=made_training_config(mode="full_data", epochs=3)
    )
    sequences, heard = made_sequences(40), []

    def stop(progress: Progress) -> None:
        if progress.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_sequence_model(method, ItemFeatures(), ITEMS, sequences, None, 1, tmp_path, stop)
    (tmp_path / "last-000001-loss-9.9999.safetensors").write_bytes(b"older, not yet removed")
    (tmp_path / ".last-000003-loss-1.0000.safetensors.draft").write_bytes(b"half written")
    train_sequence_model(
        method, ItemFeatures(), ITEMS, sequences, None, 1, tmp_path, lambda progress: heard.append(progress.epoch)
    )
    assert heard == [3]
    assert [path.name[:11] for path in tmp_path.glob("last-*")] == ["last-000003"]
