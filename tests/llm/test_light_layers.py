"""Layers of a training on a processor, against PEFT's, torch's and transformers' own."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from transformers import AutoModelForCausalLM, Gemma3TextConfig, LlamaConfig, MistralConfig, Qwen3Config

from kitrec.llm.base import causal_attention
from kitrec.llm.base.causal_attention import use_causal_blocks
from kitrec.llm.base.frozen_norms import rms_norm, use_frozen_norms
from kitrec.llm.base.loading import load_quantised
from kitrec.llm.finetuning import light_lora
from kitrec.llm.finetuning.arguments import with_lora
from kitrec.llm.finetuning.light_lora import dropout_mask, use_light_layers
from tests.llm.made_jobs import plain_model

SIZE = {"vocab_size": 300, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "head_dim": 16}
FAMILIES = [
    LlamaConfig(**SIZE, num_attention_heads=4, num_key_value_heads=2),
    Qwen3Config(**SIZE, num_attention_heads=4, num_key_value_heads=4),
    MistralConfig(**SIZE, num_attention_heads=4, num_key_value_heads=1, sliding_window=40),
    Gemma3TextConfig(**SIZE, num_attention_heads=4, num_key_value_heads=1, sliding_window=40),
]


def by_family(config) -> str:
    return config.model_type


@pytest.mark.parametrize("length", [2, 127, 128, 129, 300])
def test_attention_by_blocks_is_that_of_torch_with_its_gradients(length):
    torch.manual_seed(0)
    mine = [torch.randn(2, 3, length, 8, dtype=torch.float64, requires_grad=True) for _ in range(3)]
    torchs = [tensor.detach().clone().requires_grad_() for tensor in mine]
    value = causal_attention.causal_attention(*mine, 0.3).transpose(1, 2)
    expected = F.scaled_dot_product_attention(*torchs, is_causal=True, scale=0.3)
    assert torch.allclose(value, expected, atol=1e-12)
    upstream = torch.randn_like(value)
    value.backward(upstream)
    expected.backward(upstream)
    for tensor, other in zip(mine, torchs, strict=True):
        assert torch.allclose(tensor.grad, other.grad, atol=1e-12)


@pytest.mark.parametrize("config", FAMILIES, ids=by_family)
def test_a_family_computes_what_it_did(config):
    """Grouped heads, windows narrower than the text, norms with a weight of 1 + w: the same states and gradients."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).requires_grad_(requires_grad=False)
    for name, weight in model.named_parameters():
        weight.data += 0.3 * torch.randn_like(weight) * ("norm" in name)
    ids = torch.randint(300, (2, 150))
    results = []
    for prepare in (lambda _: None, use_causal_blocks, use_frozen_norms):
        prepare(model)
        embedded = model.get_input_embeddings()(ids).requires_grad_()
        logits = model(inputs_embeds=embedded).logits
        logits.square().sum().backward()
        results.append((logits.detach(), embedded.grad))
    for logits, gradient in results[1:]:
        assert torch.allclose(logits, results[0][0], atol=1e-4)
        assert torch.allclose(gradient, results[0][1], atol=1e-4 * results[0][1].abs().max().item())


def test_attention_with_a_cache_goes_on_as_before():
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(FAMILIES[0]).eval()
    ids = torch.randint(300, (2, 40))
    whole = model(input_ids=ids).logits
    use_causal_blocks(model)
    start = model(input_ids=ids[:, :25], use_cache=True)
    rest = model(input_ids=ids[:, 25:], past_key_values=start.past_key_values).logits
    assert torch.allclose(torch.cat([start.logits, rest], dim=1), whole, atol=1e-5)


def test_a_norm_is_the_formula_with_its_gradient():
    torch.manual_seed(0)
    x, weight = torch.randn(5, 7, requires_grad=True), torch.randn(7)
    twin = x.detach().double().requires_grad_()
    value = rms_norm(x, weight, 1e-3)
    expected = weight.double() * twin / torch.sqrt(twin.square().mean(-1, keepdim=True) + 1e-3)
    upstream = torch.randn(5, 7)
    value.backward(upstream)
    expected.backward(upstream.double())
    assert torch.allclose(value.double(), expected, atol=1e-6)
    assert torch.allclose(x.grad.double(), twin.grad, atol=1e-6)


def randomised(model):
    """Give B values: it starts at zero, where nothing of A shows."""
    torch.manual_seed(1)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            weight.data.normal_(std=0.05)
    return model


def loss_and_gradients(model):
    model.zero_grad()
    torch.manual_seed(2)
    loss = model(input_ids=torch.arange(300, 380).view(2, 40)).logits.float().square().mean()
    loss.backward()
    return loss.item(), {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.requires_grad}


def same(first, second, tolerance):
    assert first[0] == pytest.approx(second[0], rel=tolerance)
    for name, gradient in second[1].items():
        assert torch.allclose(first[1][name], gradient, atol=tolerance * gradient.abs().max().item()), name


def test_without_dropout_an_adapter_learns_what_peft_s_layers_learn(tiny_base, p):
    torch.manual_seed(0)
    model = randomised(with_lora(plain_model(tiny_base), replace(p, lora_dropout=0.0))).train()
    expected = loss_and_gradients(model)
    use_light_layers(model)
    same(loss_and_gradients(model), expected, 1e-3)


def test_on_the_nf4_base_it_learns_as_on_its_values_in_float32(base, tiny_base, p):
    """Twin: PEFT's layers on the dequantised weights, in float32."""
    import bitsandbytes as bnb

    torch.manual_seed(0)
    quantised = with_lora(load_quantised(base), replace(p, lora_dropout=0.0))
    torch.manual_seed(0)
    twin = with_lora(plain_model(tiny_base), replace(p, lora_dropout=0.0))
    for name, module in quantised.named_modules():
        if isinstance(module, bnb.nn.Linear4bit):
            weight = bnb.functional.dequantize_4bit(module.weight.data, module.weight.quant_state).float()
            twin.get_submodule(name).weight.data.copy_(weight)
    use_light_layers(randomised(quantised).train())
    (_, gradients), (_, expected) = loss_and_gradients(quantised), loss_and_gradients(randomised(twin).train())
    cosines = [
        F.cosine_similarity(gradients[name].flatten(), gradient.flatten(), dim=0) for name, gradient in expected.items()
    ]
    assert torch.stack(cosines).min() > 0.9  # bf16 against float32 through sharp attention


def test_weights_that_are_not_kept_give_the_same_bytes(base, p, monkeypatch):
    results = []
    for kept in (light_lora.KEPT_WEIGHTS, 0):
        monkeypatch.setattr(light_lora, "KEPT_WEIGHTS", kept)
        torch.manual_seed(0)
        model = randomised(with_lora(load_quantised(base), p)).train()
        use_light_layers(model)
        results.append(loss_and_gradients(model))
    same(results[1], results[0], 0.0)


def test_dropout_hides_inputs_of_the_update_alone(tiny_base, p):
    """By automatic differentiation of the formula, with the mask that the same seed draws."""
    torch.manual_seed(0)
    model = randomised(with_lora(plain_model(tiny_base), replace(p, lora_dropout=0.4))).train()
    use_light_layers(model)
    layer = model.get_base_model().get_decoder().layers[0].mlp.down_proj
    x = torch.randn(3, 5, layer.in_features, requires_grad=True)
    a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    torch.manual_seed(3)
    y = layer(x)
    upstream = torch.randn_like(y)
    y.backward(upstream)
    gradients = [tensor.grad.clone() for tensor in (x, a, b)]
    model.zero_grad()
    x.grad = None
    torch.manual_seed(3)
    mask = dropout_mask(x.view(15, -1), 0.4).view_as(x)
    scale = p.lora_alpha / p.lora_rank / 0.6
    (x @ layer.base_layer.weight.T + scale * (x * mask) @ a.T @ b.T).backward(upstream)
    for gradient, tensor in zip(gradients, (x, a, b), strict=True):
        assert torch.allclose(gradient, tensor.grad, atol=1e-4)


def test_a_mask_hides_the_share_that_it_is_given_independently():
    torch.manual_seed(0)
    like = torch.empty(1001, 999, dtype=torch.bfloat16)
    hidden = 1 - dropout_mask(like, 0.08).float()
    assert set(hidden.unique().tolist()) == {0.0, 1.0}
    assert hidden.mean().item() == pytest.approx(0.08, abs=5 * (0.08 * 0.92 / like.numel()) ** 0.5)
    neighbours = (hidden[:, 1:] * hidden[:, :-1]).mean().item()
    assert neighbours == pytest.approx(0.08**2, abs=5 * (0.08**2 / like.numel()) ** 0.5)


def test_adapters_can_be_off_or_several(tiny_base, p):
    torch.manual_seed(0)
    model = with_lora(plain_model(tiny_base), p)
    model.add_adapter("other", model.peft_config["default"])
    randomised(model).eval()
    ids = torch.arange(300, 340)[None]

    def logits():
        with torch.no_grad():
            one = model(input_ids=ids).logits
            with model.disable_adapter():
                none = model(input_ids=ids).logits
            model.base_model.set_adapter(["default", "other"])
            both = model(input_ids=ids).logits
            model.set_adapter("default")
        return torch.stack([one, none, both])

    expected = logits()
    use_light_layers(model)
    value = logits()
    assert torch.allclose(value, expected, atol=1e-4 * expected.abs().max().item())
    assert (value[0] - value[1]).abs().max() > 0.1 and (value[0] - value[2]).abs().max() > 0.1
