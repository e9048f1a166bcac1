"""The training loop on a small random model: trained parameters, their rates, and resumption."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from kitrec.core.errors import InputError
from kitrec.ilora.batch_schedule import BatchSchedule, hybrid_share
from kitrec.ilora.dataset import TokenizedDataset
from kitrec.ilora.params import Curriculum
from kitrec.ilora.teacher import Teacher
from kitrec.ilora.training import answer_loss, fit_teacher, init_training, validate
from kitrec.llm.finetuning.dataset import Sample
from tests.ilora.made_teachers import (
    GATES,
    VOCAB_SIZE,
    made_base,
    made_encoder,
    made_mixture,
    made_teacher,
    made_training_config,
)

ITEMS = 20
HYBRID = Curriculum(text_until=0.0, hybrid_from=0.0)


def made_dataset(count: int, seed: int = 0) -> TokenizedDataset:
    """Return samples whose answer is one of two tokens, by the user; the prompt is noise with some item tokens."""
    g = np.random.default_rng(seed)
    user_embeddings = torch.from_numpy(g.normal(size=(count, 16))).float()
    samples = []
    for k in range(count):
        prompt = [*g.integers(10, VOCAB_SIZE, g.integers(4, 9)), *g.integers(VOCAB_SIZE, VOCAB_SIZE + ITEMS, 3)]
        ids = np.array([*prompt, 3 if user_embeddings[k, 0] > 0 else 4, 1], dtype=np.int32)
        samples.append(Sample(f"u{k}/1", ids, len(prompt)))
    return TokenizedDataset(samples, user_embeddings)


def fresh_teacher(**changed) -> Teacher:
    base = made_base()
    with torch.no_grad():
        base.get_input_embeddings().weight.mul_(20)  # tokens far apart, or no answer can be likely
    torch.manual_seed(5)
    return Teacher(base, made_encoder(ITEMS), made_mixture(**({"dropout": 0.1} | changed)))


def run(work, config, *, gate: str = "dense", interrupt_after: int | None = None):
    teacher = fresh_teacher(gate=GATES[gate])
    state = init_training(teacher, config)

    def on_epoch_end(progress):
        if progress.epoch == interrupt_after:
            raise KeyboardInterrupt

    result = fit_teacher(state, teacher, made_dataset(30), made_dataset(8, 1), config, 7, work, on_epoch_end)
    return teacher, result


@pytest.mark.parametrize("gate", ["dense", "noisy"])
def test_an_interrupted_training_ends_with_the_same_bytes(tmp_path, gate):
    uninterrupted, expected = run(tmp_path / "whole", made_training_config(), gate=gate)
    for stop in (1, 3):
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "broken", made_training_config(), gate=gate, interrupt_after=stop)
    resumed, result = run(tmp_path / "broken", made_training_config(), gate=gate)
    assert result.progress.rows == expected.progress.rows
    for name, tensor in uninterrupted.learned.state_dict().items():
        assert torch.equal(tensor, resumed.learned.state_dict()[name]), name


def test_experts_gate_and_projector_are_trained_and_nothing_else(tmp_path):
    before = {name: tensor.clone() for name, tensor in fresh_teacher().base.state_dict().items()}
    initial = {name: tensor.clone() for name, tensor in fresh_teacher().learned.state_dict().items()}
    teacher, _ = run(tmp_path, made_training_config())
    learned = teacher.learned.state_dict()
    assert all(not torch.equal(tensor, learned[name]) for name, tensor in initial.items())
    for name, tensor in teacher.base.state_dict().items():
        if ".experts." not in name and ".projector." not in name:
            assert torch.equal(tensor, before[name]), name
    trainable = {id(parameter) for parameter in teacher.base.parameters() if parameter.requires_grad}
    assert trainable <= {id(parameter) for parameter in teacher.learned.parameters()}


def test_gradients_reach_each_part():
    teacher = made_teacher(encoder=made_encoder(ITEMS))
    data = made_dataset(4)
    with teacher.use_gates(teacher.gates(data.user_embeddings)):
        answer_loss(teacher, data.samples).backward()
    for name, parameter in teacher.learned.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


def test_the_loss_is_that_of_the_model_on_the_answers():
    teacher, data = made_teacher(encoder=made_encoder(ITEMS)), made_dataset(5)
    with torch.no_grad(), teacher.use_gates(teacher.gates(data.user_embeddings)):
        loss = answer_loss(teacher, data.samples).item()
    expected = 0.0
    for k, sample in enumerate(data.samples):
        with torch.no_grad(), teacher.use_gates(teacher.gates(data.user_embeddings[k : k + 1])):
            logits = teacher.base(input_ids=torch.from_numpy(sample.ids[None].astype(np.int64))).logits[0]
        labels = torch.from_numpy(sample.ids[sample.prompt_length :].astype(np.int64))
        expected += F.cross_entropy(logits[sample.prompt_length - 1 : -1], labels, reduction="sum").item()
    assert loss == pytest.approx(expected, rel=1e-5)


def test_the_gate_is_trained_at_its_ratio_of_the_learning_rate():
    teacher = made_teacher(encoder=made_encoder(ITEMS))
    config = made_training_config(
        learning_rate=1e-2, warmup_ratio=0.0, epochs=50, validate_every=1, max_grad_norm=1e9, curriculum=HYBRID
    )
    before = {name: parameter.clone() for name, parameter in teacher.learned.named_parameters()}
    state = init_training(teacher, config)

    class OneUpdateError(Exception):
        pass

    def stop(_):
        raise OneUpdateError

    with pytest.raises(OneUpdateError):
        fit_teacher(state, teacher, made_dataset(8), made_dataset(4, 1), config, 7, None, stop)
    for name, parameter in teacher.learned.named_parameters():
        step = (parameter - before[name]).abs().max().item()  # the first step of AdamW is the rate itself
        assert step == pytest.approx(1e-2 * (0.3 if name.startswith("gate.") else 1.0), rel=0.02), name


def test_the_size_of_micro_batches_does_not_matter():
    weights = []
    for batch_size, steps in ((8, 1), (2, 4)):
        teacher = fresh_teacher(dropout=0.0)
        config = made_training_config(
            batch_size=batch_size, gradient_accumulation_steps=steps, epochs=1, validate_every=1, learning_rate=1e-2
        )
        state = init_training(teacher, config)
        fit_teacher(state, teacher, made_dataset(8), made_dataset(4, 1), config, 7, None, lambda _: None)
        weights.append(torch.cat([tensor.flatten() for tensor in teacher.learned.state_dict().values()]))
    assert (weights[0] - weights[1]).abs().max() < 1e-4


def test_it_learns_answers_that_depend_on_the_user_alone():
    """The answer is a function of the user's embedding, which reaches the model through the gate only."""
    teacher = fresh_teacher(dropout=0.0)
    config = made_training_config(
        learning_rate=5e-3,
        gate_lr_ratio=1.0,
        epochs=15,
        validate_every=20,
        batch_size=16,
        gradient_accumulation_steps=1,
    )
    state = init_training(teacher, config)
    data = made_dataset(256)  # with 64 the rule is learned on some processors only
    fit_teacher(state, teacher, data, made_dataset(32, 1), config, 7, None, lambda _: None)
    chance = math.log(2) / 2  # of the two answer tokens one is a coin flip, the other certain
    assert state.progress.rows[0]["val_loss"] > 0.8 * chance
    assert -state.progress.best < 0.3 * chance
    without_users = validate(teacher, TokenizedDataset(data.samples, torch.zeros_like(data.user_embeddings)))
    assert without_users["val_loss"] > 0.9 * chance


def test_gradient_checkpointing_trains_the_same_weights(tmp_path):
    plain, _ = run(tmp_path / "plain", made_training_config())
    recomputed, _ = run(tmp_path / "recomputed", made_training_config(gradient_checkpointing=True))
    for name, tensor in plain.learned.state_dict().items():
        torch.testing.assert_close(tensor, recomputed.learned.state_dict()[name], atol=1e-5, rtol=1e-4)


def test_patience_stops_training_and_the_best_weights_are_restored(tmp_path):
    config = made_training_config(learning_rate=0.5, patience=2, epochs=20, validate_every=1)
    teacher, result = run(tmp_path, config)
    rows = result.progress.rows
    losses = [row["val_loss"] for row in rows]
    assert len(rows) == int(np.argmin(losses)) + 1 + 2
    assert validate(teacher, made_dataset(8, 1))["val_loss"] == pytest.approx(min(losses), rel=1e-6)


def test_a_loss_that_is_not_finite_names_its_rows():
    teacher, config = made_teacher(encoder=made_encoder(ITEMS)), made_training_config()
    with torch.no_grad():
        teacher.learned.gate.weigh.weight[0, 0] = torch.nan
    state = init_training(teacher, config)
    with pytest.raises(InputError, match=r"the loss is nan in .*u\d/1"):
        fit_teacher(state, teacher, made_dataset(8), made_dataset(4, 1), config, 7, None, lambda _: None)


def test_empty_tables_are_refused():
    teacher, config = made_teacher(encoder=made_encoder(ITEMS)), made_training_config()
    state = init_training(teacher, config)
    with pytest.raises(InputError, match="both tables need rows"):
        fit_teacher(state, teacher, made_dataset(8), made_dataset(0), config, 7, None, lambda _: None)


def test_an_epoch_has_every_sample_once_and_the_hybrid_share_grows():
    data = made_dataset(30)
    config = made_training_config(epochs=8, curriculum=Curriculum(text_until=0.25, hybrid_from=0.75))
    schedule = BatchSchedule(data, config, VOCAB_SIZE, seed=1)
    assert schedule.updates == 8 * 4
    shares = []
    for epoch in range(8):
        parts = [part for n in range(4 * epoch, 4 * epoch + 4) for part, _ in schedule.micro_batches(n)]
        names = [sample.record_id for part in parts for sample in part]
        assert sorted(names) == sorted(sample.record_id for sample in data.samples)
        shares.append(np.mean([sample.ids.max() >= VOCAB_SIZE for part in parts for sample in part]))
    assert shares[:2] == [0, 0] and shares[6:] == [1, 1]
    assert 0 < shares[3] < shares[5] < 1


def test_user_embeddings_belong_to_their_samples():
    data = made_dataset(30)
    schedule = BatchSchedule(data, made_training_config(), VOCAB_SIZE, seed=1)
    for samples, user_embeddings in schedule.micro_batches(1):
        for sample, vector in zip(samples, user_embeddings, strict=True):
            assert torch.equal(vector, data.user_embeddings[int(sample.record_id[1:-2])])


def test_the_curriculum_is_a_linear_ramp():
    ramp = Curriculum(text_until=0.2, hybrid_from=0.6)
    assert [hybrid_share(done, ramp) for done in (0.0, 0.2, 0.4, 0.6, 1.0)] == pytest.approx([0, 0, 0.5, 1, 1])
    assert hybrid_share(0.0, Curriculum(text_until=0.0, hybrid_from=0.0)) == 1.0
    assert hybrid_share(0.89, Curriculum(text_until=0.9, hybrid_from=0.9)) == 0.0
    with pytest.raises(ValueError, match="no training prompt would be hybrid"):
        Curriculum(text_until=1.0, hybrid_from=1.0)
    with pytest.raises(ValueError, match="is greater than"):
        Curriculum(text_until=0.6, hybrid_from=0.5)
