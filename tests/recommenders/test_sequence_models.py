"""Properties of every sequence model."""

import numpy as np
import pytest
import torch

from kitrec.core.ranking_metrics import mean_metrics
from kitrec.recommenders.data.packed_batches import pack
from kitrec.recommenders.data.sequences import sequences_from_lists
from kitrec.recommenders.data.target_batches import target_batch
from kitrec.recommenders.models.params import Masking
from kitrec.recommenders.ranking.full import candidate_scores, ranks, represent
from kitrec.recommenders.sequence_training import Validation, init_training, mean_loss, train
from kitrec.training.distributed import distributed_context
from tests.recommenders.made_models import CE, ITEMS, KINDS, made_model, made_sequences, made_training_config

CAUSAL = ["sasrec", "gru4rec"]


@pytest.mark.parametrize("kind", KINDS)
def test_other_users_of_the_batch_do_not_change_a_state(kind):
    model, sequences = made_model(kind), made_sequences(20)
    together = represent(model, sequences)
    one_by_one = torch.cat([represent(model, sequences.take(np.array([user]))) for user in range(20)])
    assert torch.allclose(together, one_by_one, atol=1e-6)


@pytest.mark.parametrize("kind", ["sasrec", "bert4rec", "gru4rec"])
def test_a_history_is_represented_by_the_state_of_its_last_position(kind):
    model = made_model(kind)
    batch = pack(model.shown(made_sequences(20)))
    last = torch.stack([states[-1] for states in model(batch).split(batch.lengths.tolist())])
    expected = model.restored(last) if kind == "bert4rec" else last
    assert torch.allclose(model.represent(batch), expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["sasrec", "bert4rec"])
def test_attention_dropout_also_applies_to_the_last_position_in_training(kind):
    model = made_model(kind, dropout=0.5).train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0  # attention dropout remains
    batch = pack(model.shown(made_sequences(20)))
    assert not torch.allclose(model.represent(batch), model.represent(batch), atol=1e-3)


@pytest.mark.parametrize("kind", CAUSAL)
def test_a_later_item_cannot_change_an_earlier_state(kind):
    model = made_model(kind)
    one, other = ([3, 9, 4, 7, 1, 2], [3, 9, 4, 7, 5, 6])
    states = [model(pack(sequences_from_lists([items]))) for items in (one, other)]
    assert torch.equal(states[0][:4], states[1][:4])
    assert not torch.allclose(states[0][4], states[1][4], atol=1e-3)


def test_bert4rec_attends_to_later_items():
    model = made_model("bert4rec")
    states = [model(pack(sequences_from_lists([items]))) for items in ([3, 9, 4], [3, 9, 5])]
    assert not torch.allclose(states[0][0], states[1][0], atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_newest_items_and_their_order_matter(kind):
    model = made_model(kind)
    longest = 11 if kind == "bert4rec" else model.max_length
    newest = list(range(1, longest + 1))
    long, cut, swapped = (
        represent(model, sequences_from_lists([items])) for items in ([29, 30, *newest], newest, [2, 1, *newest[2:]])
    )
    assert torch.allclose(long, cut, atol=1e-6)
    assert not torch.allclose(cut, swapped, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_a_single_item_is_enough(kind):
    assert represent(made_model(kind), sequences_from_lists([[5]])).isfinite().all()


@pytest.mark.parametrize("kind", KINDS)
def test_scores_depend_on_the_history_and_not_on_the_order_of_candidates(kind):
    model, sequences = made_model(kind), sequences_from_lists([[1, 2, 3], [4, 5, 6]])
    candidates = np.array([[7, 8, 9], [9, 8, 7]])
    scores = candidate_scores(model, sequences, candidates)
    reversed_scores = candidate_scores(model, sequences, candidates[:, ::-1])
    assert np.allclose(scores, reversed_scores[:, ::-1], atol=1e-6)
    assert not np.allclose(scores[0], scores[1, ::-1], atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_ranks_agree_with_the_scores_of_all_items(kind):
    model, sequences = made_model(kind), made_sequences(40, seed=3, longest=6)
    targets = np.random.default_rng(1).integers(1, ITEMS + 1, size=40)
    scores = candidate_scores(model, sequences, np.tile(np.arange(1, ITEMS + 1), (40, 1)))
    better = [
        sum(scores[u, i - 1] > scores[u, targets[u] - 1] for i in range(1, ITEMS + 1) if i not in sequences[u])
        for u in range(40)
    ]
    counted, equal = ranks(model, sequences, targets)
    assert (np.abs(counted - better) <= 0).all() and (equal == 1).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_can_overfit_a_batch(kind):
    sequences = sequences_from_lists([[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12], [13, 14, 15, 16]])
    model = made_model(kind, **({"masking": Masking(random=0.1, last=0.9)} if kind == "bert4rec" else {}))
    validation, config = Validation(sequences.without_last(), sequences.last()), made_training_config(epochs=150)
    train(init_training(model, config), sequences, validation, config, CE, seed=0, on_epoch_end=lambda _: None)
    assert mean_metrics(*ranks(model.eval(), validation.histories, validation.targets), depth=1)["hit@1"] == 1.0


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_learns_a_pattern_and_stays_at_chance_on_noise(kind):
    rng = np.random.default_rng(2)
    starts = rng.integers(0, ITEMS, size=400)
    cycles = sequences_from_lists([(start + np.arange(6)) % ITEMS + 1 for start in starts])
    noise = sequences_from_lists([rng.integers(1, ITEMS + 1, size=6) for _ in range(400)])
    metrics = []
    for sequences in (cycles, noise):
        masked = kind == "bert4rec"  # it learns from masked positions only
        model = made_model(kind, **({"masking": Masking(random=0.2, last=0.8)} if masked else {}))
        config = made_training_config(epochs=60, learning_rate=3e-3) if masked else made_training_config(epochs=12)
        training, development = sequences.take(np.arange(300)), sequences.take(np.arange(300, 400))
        validation = Validation(development.without_last(), development.last())
        train(init_training(model, config), training, validation, config, CE, seed=0, on_epoch_end=lambda _: None)
        metrics.append(mean_metrics(*ranks(model.eval(), validation.histories, validation.targets), depth=1)["hit@1"])
    assert metrics[0] > 0.9
    assert metrics[1] < 0.15  # one of about 25 unseen items: 0.04, three standard errors above are 0.10


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_reach_every_parameter(kind):
    model, sequences = made_model(kind).train(), made_sequences(30, seed=5)
    sequences = sequences.take(np.flatnonzero(sequences.lengths > 1))
    batch = target_batch(model, sequences, np.random.default_rng(0))
    mean_loss(batch, model, sequences, CE, np.random.default_rng(0)).backward()
    assert [name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()] == []
    assert not model.items.weight.grad[0].any()  # padding


def test_memory_is_pinned_only_for_a_gpu():
    assert distributed_context(pin_memory=True).pin_memory == torch.cuda.is_available()
    assert not distributed_context().pin_memory


@pytest.mark.skipif(not torch.cuda.is_available(), reason="pinned memory needs a GPU")
def test_pinned_memory_does_not_change_a_batch():
    sequences = made_sequences(30, seed=5)
    one, other = (pack(sequences, "cuda", pin_memory=pin_memory) for pin_memory in (False, True))
    assert torch.equal(one.items, other.items) and torch.equal(one.lengths, other.lengths)
