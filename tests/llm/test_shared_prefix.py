"""Reference: one plain forward per continuation, as anyone would write it."""

import numpy as np
import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, Gemma2Config, GPTNeoXConfig, LlamaConfig, OPTConfig

from kitrec.core import params
from kitrec.core.errors import InputError
from kitrec.llm.finetuning.arguments import with_lora
from kitrec.llm.finetuning.params import FineTune
from kitrec.llm.likelihood import shared_prefix
from kitrec.llm.likelihood.shared_prefix import likelihoods
from kitrec.llm.likelihood.trie import ScoringRequest
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def model(tiny_base):
    return AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32).eval()


def made_requests(count: int, seed: int, ways: int = 12) -> list[ScoringRequest]:
    """Texts of unlike length; names of unlike length that share beginnings."""
    g = np.random.default_rng(seed)

    def name() -> list[int]:
        return [*g.integers(300, 303, g.integers(1, 4)).tolist(), *g.integers(300, 1500, g.integers(1, 4)).tolist()]

    return [
        ScoringRequest(g.integers(300, 1500, 20 + 13 * k).tolist(), [name() for _ in range(ways)], None)
        for k in range(count)
    ]


def one_by_one(model, request: ScoringRequest) -> np.ndarray:
    values = []
    for name in request.continuations:
        ids = torch.tensor([request.prefix + name])
        with torch.no_grad():
            logits = model(input_ids=ids).logits[0, len(request.prefix) - 1 : -1]
        values.append(logits.log_softmax(-1).gather(1, torch.tensor(name)[:, None]).sum().item())
    return np.array(values)


@pytest.mark.parametrize("batch_tokens", [50, 16_384])
def test_equal_to_separate_forwards(model, monkeypatch, batch_tokens):
    monkeypatch.setattr(shared_prefix, "BATCH_TOKENS", batch_tokens)
    requests = made_requests(5, seed=1)
    for request, values in zip(requests, likelihoods(model, requests), strict=True):
        assert np.abs(values - one_by_one(model, request)).max() < 1e-4


@pytest.mark.parametrize(
    "config",
    [
        LlamaConfig(num_key_value_heads=2, intermediate_size=64),
        GPTNeoXConfig(intermediate_size=64),
        OPTConfig(ffn_dim=64, word_embed_proj_dim=32),
    ],
    ids=lambda config: config.model_type,
)
def test_models_of_other_families_are_scored_alike(config):
    config.update({"vocab_size": 1500, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4})
    torch.manual_seed(0)
    other = AutoModelForCausalLM.from_config(config).eval()
    requests = made_requests(3, seed=5)
    for request, values in zip(requests, likelihoods(other, requests), strict=True):
        assert np.abs(values - one_by_one(other, request)).max() < 1e-4


def test_a_family_that_caps_its_logits_is_refused():
    config = Gemma2Config(vocab_size=64, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, head_dim=16)
    with pytest.raises(InputError, match="gemma2 changes its logits behind the head"):
        likelihoods(AutoModelForCausalLM.from_config(config).eval(), made_requests(1, seed=5))


def test_labels_of_one_token_come_from_one_position(model):
    requests = [
        ScoringRequest(request.prefix, [[300 + k] for k in range(100)], None) for request in made_requests(3, seed=2)
    ]
    for request, values in zip(requests, likelihoods(model, requests), strict=True):
        with torch.no_grad():
            row = model(input_ids=torch.tensor([request.prefix])).logits[0, -1].log_softmax(-1)
        assert np.abs(values - row[300:400].numpy()).max() < 1e-4


def test_likelihoods_of_all_tokens_sum_to_one(model):
    vocabulary = [[token] for token in range(model.config.vocab_size)]
    (values,) = likelihoods(model, [ScoringRequest([400, 500, 600], vocabulary, None)])
    assert np.exp(values).sum() == pytest.approx(1, abs=1e-5)


def test_few_positions_at_a_time_change_nothing(model, monkeypatch):
    requests = made_requests(2, seed=3)
    whole = likelihoods(model, requests)
    monkeypatch.setattr(shared_prefix, "ROWS", 3)
    for expected, values in zip(whole, likelihoods(model, requests), strict=True):
        assert np.abs(expected - values).max() < 1e-4


def test_an_adapter_is_scored_by_its_weights(tiny_base, tmp_path):
    torch.manual_seed(0)
    base = AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32)
    tuned = with_lora(base, params.load(FineTune, "dualft", ROOT / "params.yaml"))
    for name, weight in tuned.named_parameters():
        if "lora_B" in name:
            weight.data.normal_(std=0.05)
    tuned.save_pretrained(tmp_path)
    plain = AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32)
    loaded = PeftModel.from_pretrained(plain, str(tmp_path)).eval()
    (request,) = made_requests(1, seed=4)
    (values,) = likelihoods(loaded, [request])
    assert np.abs(values - one_by_one(loaded, request)).max() < 1e-4
    with loaded.disable_adapter():
        assert np.abs(likelihoods(loaded, [request])[0] - values).max() > 0.1
