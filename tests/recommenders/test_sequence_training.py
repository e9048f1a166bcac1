"""Training of sequence models at its edges: no targets, nothing masked, mixed precision, divergence, interruption."""

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
EMPTY_VALIDATION = Validation(sequences_from_lists([]), np.empty(0, dtype=np.int64))


def progress_of(model, sequences: Sequences, loss: Loss, **changed) -> Progress:
    config = made_training_config(**({"mode": "full_data", "epochs": 2} | changed))
    state = init_training(model, config)
    train(state, sequences, None, config, loss, seed=0, on_epoch_end=lambda _: None)
    return state.progress


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("kind", KINDS)
def test_mixed_precision_training_has_nearly_the_same_losses(kind, loss):
    sequences = made_sequences(50)
    exact, mixed = (
        progress_of(made_model(kind), sequences, LOSSES[loss], precision=precision).rows
        for precision in ("32", "16-mixed")
    )
    assert [row["loss"] for row in mixed] == pytest.approx([row["loss"] for row in exact], rel=0.02)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_batch_without_masked_positions_updates_nothing(loss):
    model = made_model("bert4rec", masking=Masking(random=1e-9, last=0.0))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert [
        row["loss"] for row in progress_of(model, sequences_from_lists([[3], [4]]), LOSSES[loss], batch_size=1).rows
    ] == [0.0, 0.0]
    assert all(tensor.equal(before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("kind", ["sasrec", "gru4rec", "caser"])
def test_a_user_without_items_is_refused(kind):
    with pytest.raises(ValueError, match="without items has no state"):
        represent(made_model(kind), sequences_from_lists([[1, 2], [], [3]]))


def test_bert4rec_represents_a_user_without_items_by_the_mask():
    model = made_model("bert4rec")
    together, mask_only = (
        represent(model, sequences_from_lists([[1, 2], [], [3]])),
        represent(model, sequences_from_lists([[]])),
    )
    assert together[1].allclose(mask_only[0], atol=1e-6)


def test_a_sequence_of_masks_gives_finite_states_that_differ_by_position():
    """A sequence of the maximum length gives states that differ by their position embedding only."""
    model = made_model("bert4rec")
    masks = sequences_from_lists([[model.mask_item] * model.max_length])
    states = model.restored(model(pack(masks)))
    assert states.shape[0] == model.max_length and torch.isfinite(states).all()
    mask_only = model.restored(model(pack(sequences_from_lists([[model.mask_item]]))))
    assert torch.isfinite(mask_only).all() and not torch.allclose(states[-1], states[0])


@pytest.mark.parametrize("kind", KINDS)
def test_targets_of_a_long_sequence_come_from_its_newest_part(kind):
    """Items beyond the maximum length give no targets (Caser: every window gives targets)."""
    model = made_model(kind, masking=Masking(random=0.9, last=0.9)) if kind == "bert4rec" else made_model(kind)
    items = np.random.default_rng(0).integers(1, ITEMS + 1, size=40).tolist()
    kept = items if kind == "caser" else items[-(model.max_length + (kind != "bert4rec")) :]
    complete, newest = (
        target_batch(model, sequences_from_lists([part]), np.random.default_rng(1)) for part in (items, kept)
    )
    assert torch.equal(complete.targets, newest.targets) and torch.allclose(complete.states, newest.states, atol=1e-6)
    if kind in ("sasrec", "gru4rec"):
        assert (complete.targets + 1).tolist() == items[-model.max_length :]
        assert complete.positions.tolist() == list(range(40 - model.max_length, 40))


@pytest.mark.parametrize("kind", ["sasrec", "bert4rec"])
def test_heads_that_do_not_divide_the_width_are_refused(kind):
    with pytest.raises(ValueError, match="heads: 3 does not divide hidden_size 16"):
        model_params(kind, heads=3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_vocabulary_of_one_item_has_a_loss_of_zero(kind):
    rows = progress_of(made_model(kind, items=1), sequences_from_lists([[1, 1, 1]] * 3), CE).rows
    assert [row["loss"] for row in rows] == pytest.approx([0.0, 0.0], abs=1e-6)


@pytest.mark.parametrize(
    ("sequences", "loss", "items", "message"),
    [
        (sequences_from_lists([[3], [4]]), CE, ITEMS, "no user has enough known items"),
        (sequences_from_lists([]), CE, ITEMS, "no user has enough known items"),
        (sequences_from_lists([[1, 1]]), SAMPLED["gbce"], 1, r"gbce needs fewer negatives \(4\) than items \(1\)"),
        (sequences_from_lists([[1, 2]]), SAMPLED["gbce"], 4, r"gbce needs fewer negatives \(4\) than items \(4\)"),
    ],
)
def test_data_without_targets_or_too_few_items_is_refused(sequences, loss, items, message):
    with pytest.raises(InputError, match=message):
        progress_of(made_model("sasrec", items=items), sequences, loss)


@pytest.mark.parametrize(
    ("mode", "validation", "rate", "message"),
    [
        ("full_data", None, 1e30, "smaller learning_rate"),
        ("standard", Validation(sequences_from_lists([[1, 2]]), np.array([3])), 1e30, "smaller learning_rate"),
        ("standard", EMPTY_VALIDATION, 1e-3, "the validation is empty"),
    ],
)
def test_a_diverging_training_and_an_empty_validation_are_refused(mode, validation, rate, message, tmp_path):
    config = made_training_config(mode=mode, epochs=2, learning_rate=rate)
    method = SequenceMethod(history="both", model=model_params("sasrec"), loss=CE, training=config)
    with pytest.raises(InputError, match=message):
        train_sequence_model(method, ItemFeatures(), ITEMS, made_sequences(20), validation, 1, tmp_path, lambda _: None)


def test_patience_counts_validations_and_checkpoints_name_their_metric(tmp_path):
    sequences, names = made_sequences(40), []
    long = sequences.take(np.flatnonzero(sequences.lengths > 1))
    config = made_training_config(epochs=30, validate_every=3, patience=2, learning_rate=0.5)
    method = SequenceMethod(history="both", model=model_params("sasrec"), loss=CE, training=config)

    def on_epoch_end(_: Progress) -> None:
        names.extend(path.name.rpartition("-")[0] for path in tmp_path.iterdir())

    result = train_sequence_model(
        method,
        ItemFeatures(),
        ITEMS,
        sequences,
        Validation(long.without_last(), long.last()),
        1,
        tmp_path,
        on_epoch_end,
    )
    assert names[:3] == ["last-000001-loss", "last-000002-loss", "last-000003-ndcg@10"]
    assert result.progress.best_epoch % 3 == 0 and result.progress.epoch == result.progress.best_epoch + 6


def test_a_training_killed_between_two_checkpoints_resumes_from_the_newer(tmp_path):
    method = SequenceMethod(
        history="both", model=model_params("sasrec"), loss=CE, training=made_training_config(mode="full_data", epochs=3)
    )
    sequences, epochs = made_sequences(40), []

    def stop(progress: Progress) -> None:
        if progress.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_sequence_model(method, ItemFeatures(), ITEMS, sequences, None, 1, tmp_path, stop)
    (tmp_path / "last-000001-loss-9.9999.safetensors").write_bytes(b"older, not yet removed")
    (tmp_path / ".last-000003-loss-1.0000.safetensors.draft").write_bytes(b"half written")
    train_sequence_model(
        method, ItemFeatures(), ITEMS, sequences, None, 1, tmp_path, lambda progress: epochs.append(progress.epoch)
    )
    assert epochs == [3]
    assert [path.name[:11] for path in tmp_path.glob("last-*")] == ["last-000003"]
