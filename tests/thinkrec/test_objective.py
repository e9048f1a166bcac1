"""The dual loss against cases worked by hand, and against the plain losses it equals for a single kind of samples."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from transformers import AutoModelForCausalLM

from kitrec.core.errors import InputError
from kitrec.prompts.tokens import Encoder
from kitrec.thinkrec.injection import embed
from kitrec.thinkrec.objective import Outputs, batch_counts, loss
from kitrec.thinkrec.samples import MixedBatchSampler, samples, verdict_tokens
from tests.thinkrec.made_thinkrec import TEXT, made_batch, made_composer, made_model, made_objective, made_record


def bce(logit: float, label: int) -> float:
    probability = 1 / (1 + math.exp(-logit))
    return -math.log(probability if label else 1 - probability)


def outputs() -> Outputs:
    """Three samples: a reasoning one of two words, and two recommendations of one word each."""
    return Outputs(
        torch.tensor([0.5, -1.0, 2.0]),
        torch.tensor([0.25, 0.5, 1.0]),
        torch.tensor([-0.1, -0.7, -0.2, -0.4]),
        torch.tensor([0, 0, 1, 2]),
    )


LABELS, REASONING = torch.tensor([1, 0, 1]), torch.tensor([True, False, False])


def test_the_loss_of_a_mixed_batch_equals_a_case_worked_by_hand():
    """1/3 (0.1 bce(.5, 1) + 0.9 * .4) + 2/3 (0.9 (bce(-1, 0) + bce(2, 1)) / 2 + 0.1 * .3)"""
    reason = 0.1 * bce(0.5, 1) + 0.9 * (0.1 + 0.7) / 2
    other = 0.9 * (bce(-1.0, 0) + bce(2.0, 1)) / 2 + 0.1 * (0.2 + 0.4) / 2
    assert loss(outputs(), LABELS, REASONING, made_objective()).item() == pytest.approx(
        (reason + 2 * other) / 3, abs=1e-6
    )


def test_the_yes_minus_no_loss_equals_a_case_worked_by_hand():
    p = made_objective(logit="yes_minus_no", alpha=1.0, beta=0.0, theta=1.0, gamma=0.0)
    expected_loss = (bce(0.25, 1) + bce(-1.5, 0) + bce(1.0, 1)) / 3
    assert loss(outputs(), LABELS, REASONING, p).item() == pytest.approx(expected_loss, abs=1e-6)


def test_micro_batch_losses_add_up_to_the_loss_of_the_batch():
    whole, p = outputs(), made_objective()
    parts = [([0], [0, 1]), ([1, 2], [2, 3])]  # samples, and their answer tokens
    total = 0.0
    for rows, tokens in parts:
        sample = [rows.index(k) for k in whole.sample[tokens].tolist()]
        part = Outputs(whole.yes[rows], whole.no[rows], whole.token_log_probs[tokens], torch.tensor(sample))
        total += loss(part, LABELS[rows], REASONING[rows], p, batch_counts(REASONING, whole.sample)).item()
    assert total == pytest.approx(loss(whole, LABELS, REASONING, p).item(), abs=1e-6)


def test_each_weight_scales_its_own_term():
    for name, expected in (
        ("alpha", bce(0.5, 1) / 3),
        ("beta", 0.4 / 3),
        ("theta", (bce(-1.0, 0) + bce(2.0, 1)) / 3),
        ("gamma", 0.3 * 2 / 3),
    ):
        nothing = {"alpha": 0.0, "beta": 1e-12, "theta": 0.0, "gamma": 1e-12}
        value_found = loss(outputs(), LABELS, REASONING, made_objective(**(nothing | {name: 1.0}))).item()
        assert value_found == pytest.approx(expected, abs=1e-6), name


@pytest.fixture(scope="module")
def batch(tokenizer):
    composer = made_composer(tokenizer, templates=(TEXT,))
    return lambda mode: samples(made_batch(mode), composer, Encoder(tokenizer), 0)


def test_recommendation_samples_alone_have_the_plain_bce_loss(tiny_base, tokenizer, batch):
    model, batch_samples = made_model(tiny_base, tokenizer), batch("v2")
    labels = torch.tensor([s.label for s in batch_samples])
    outputs = model.outputs(batch_samples)
    no_reasoning = torch.zeros(len(batch_samples), dtype=torch.bool)
    value = loss(outputs, labels, no_reasoning, made_objective(theta=1.0, gamma=0.0))
    ids = [torch.from_numpy(s.prompt.ids) for s in batch_samples]
    with torch.no_grad():
        logits = torch.stack([model.llm(input_ids=one[None]).logits[0, -1, model.verdict_tokens.yes] for one in ids])
    assert value.item() == pytest.approx(F.binary_cross_entropy_with_logits(logits, labels.float()).item(), abs=2e-6)


def test_reasoning_samples_alone_have_the_plain_language_model_loss(tiny_base, tokenizer, batch):
    """The loss of transformers: the mean over all answer tokens, prompts masked."""
    model, batch_samples = made_model(tiny_base, tokenizer), batch("v1")
    value = loss(
        model.outputs(batch_samples),
        torch.tensor([s.label for s in batch_samples]),
        torch.ones(len(batch_samples), dtype=torch.bool),
        made_objective(alpha=0.0, beta=1.0),
    )
    longest = max(len(s.sequence) for s in batch_samples)
    ids = torch.zeros(len(batch_samples), longest, dtype=torch.long)
    labels = torch.full((len(batch_samples), longest), -100)
    for row, s in enumerate(batch_samples):
        ids[row, : len(s.sequence)] = torch.from_numpy(s.sequence.ids)
        labels[row, len(s.prompt) : len(s.sequence)] = torch.tensor(s.answer)
    with torch.no_grad():
        expected_loss = model.llm(input_ids=ids, labels=labels, attention_mask=(labels != -100) | (ids != 0)).loss
    assert value.item() == pytest.approx(expected_loss.item(), abs=2e-6)


def test_left_and_right_padding_give_the_same_states(tiny_base, tokenizer):
    model, composer = made_model(tiny_base, tokenizer), made_composer(tokenizer)
    prompts = [composer.compose(made_record(k)) for k in (0, 3, 6)]
    states = []
    for side in ("left", "right"):
        batch = embed(prompts, model.table, model.projector, side)
        with torch.no_grad():
            hidden = model.decoder(
                inputs_embeds=batch.rows, attention_mask=batch.mask.long(), position_ids=batch.positions
            ).last_hidden_state
        last = [int(start) + len(p) - 1 for start, p in zip(batch.starts, prompts, strict=True)]
        states.append(hidden[range(3), last])
    assert torch.allclose(states[0], states[1], atol=1e-4)


def test_gradients_reach_the_adapter_and_the_projector(tiny_base, tokenizer):
    model = made_model(tiny_base, tokenizer)
    batch = samples([made_record(k) for k in range(3)], made_composer(tokenizer), Encoder(tokenizer), 0)
    loss(model.outputs(batch), torch.tensor([0, 1, 0]), torch.zeros(3, dtype=torch.bool), made_objective()).backward()
    trained = [p for name, p in model.llm.named_parameters() if "lora_" in name and p.requires_grad]
    assert trained and all(p.grad is not None for p in trained) and any(p.grad.abs().max() > 0 for p in trained)
    assert all(p.grad.abs().max() > 0 for p in model.projector.parameters())


def test_batches_keep_the_ratio_and_cover_every_sample():
    reasoning = np.arange(40) % 4 == 0  # 10 of 40
    sampler = MixedBatchSampler(reasoning, 0.2, 16, seed=3)
    drawn = np.concatenate([sampler.batch(k) for k in range(20)])
    assert reasoning[drawn].sum() == 64  # a fifth of 320
    assert all(2 <= reasoning[sampler.batch(k)].sum() <= 4 for k in range(20))
    assert sorted(drawn[~reasoning[drawn]][:30]) == sorted(np.flatnonzero(~reasoning))  # an epoch is everything once
    later = MixedBatchSampler(reasoning, 0.2, 16, seed=3)
    assert (later.batch(13) == sampler.batch(13)).all()
    assert not (MixedBatchSampler(reasoning, 0.2, 16, seed=4).batch(0) == sampler.batch(0)).all()


def test_a_single_kind_fills_all_batches():
    for kind in (True, False):
        sampler = MixedBatchSampler(np.full(5, kind), 0.2, 4, seed=0)
        assert sorted(np.concatenate([sampler.batch(k) for k in range(5)])) == sorted([*range(5)] * 4)
    with pytest.raises(InputError, match="no sample"):
        MixedBatchSampler(np.empty(0, dtype=bool), 0.2, 4, seed=0)


def test_yes_and_no_begin_with_different_tokens(tokenizer, tiny_base):
    tokens = verdict_tokens(Encoder(tokenizer))
    assert tokenizer.decode([tokens.yes]) == "Y" and tokenizer.decode([tokens.no]) == "N"
    assert AutoModelForCausalLM.from_pretrained(tiny_base).config.vocab_size > max(tokens.yes, tokens.no)
