"""The mixture against peft's LoRA, and against itself one sample at a time."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, LlamaConfig, LlamaForCausalLM, OPTConfig, OPTForCausalLM

from kitrec.core.errors import InputError
from kitrec.ilora.experts import GateContext, GatedLinear, add_experts
from kitrec.llm.base.loading import load_quantised
from kitrec.llm.base.params import PROJECTIONS, Base
from kitrec.llm.base.pinning import pin
from tests.ilora.made_teachers import VOCAB_SIZE, made_base, made_mixture

K, RANK, ALPHA = 4, 8, 16.0
ROWS = torch.randint(0, VOCAB_SIZE, (5, 11), generator=torch.Generator().manual_seed(1))


def made_mixed(base, **changed):
    """Return (model, gates, experts) with weights drawn far from zero."""
    gates = GateContext(RANK // K)
    experts = add_experts(base, made_mixture(**changed), gates)
    g = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for module in experts.values():
            module.inner.normal_(0, 0.3, generator=g)
            module.outer.normal_(0, 0.3, generator=g)
    return base, gates, experts


def peft_lora(experts, rank: int, take) -> nn.Module:
    """Return the same base with peft's LoRA; `take(A, B)` selects its weights from those of the mixture."""
    model = get_peft_model(made_base(), LoraConfig(r=rank, lora_alpha=ALPHA, target_modules=PROJECTIONS)).eval()
    for name, module in model.base_model.model.named_modules():
        if hasattr(module, "lora_A"):
            inner, outer = take(experts[name].inner.data, experts[name].outer.data)
            module.lora_A["default"].weight.data.copy_(inner)
            module.lora_B["default"].weight.data.copy_(outer)
    return model


def expert(number: int):
    part = slice(number * RANK // K, (number + 1) * RANK // K)
    return lambda inner, outer: (inner[part], outer[:, part])


def drawn_gates(rows: int = len(ROWS), seed: int = 3) -> torch.Tensor:
    return torch.randn(rows, K, generator=torch.Generator().manual_seed(seed)).softmax(-1)


def test_a_uniform_gate_is_plain_lora_of_the_whole_rank():
    model, gates, experts = made_mixed(made_base())
    plain = peft_lora(experts, RANK, lambda inner, outer: (inner, outer))
    with gates.activate(torch.full((len(ROWS), K), 1 / K)):
        logits = model(ROWS).logits
    assert (logits - plain(ROWS).logits).abs().max() < 1e-5
    assert (logits - made_base()(ROWS).logits).abs().max() > 0.1


def test_equal_experts_are_plain_lora_of_one_expert_under_any_gate():
    model, gates, experts = made_mixed(made_base())
    with torch.no_grad():
        for module in experts.values():
            module.inner.copy_(module.inner[: RANK // K].repeat(K, 1))
            module.outer.copy_(module.outer[:, : RANK // K].repeat(1, K))
    plain = peft_lora(experts, RANK // K, expert(0))
    with gates.activate(drawn_gates()):
        assert (model(ROWS).logits - plain(ROWS).logits).abs().max() < 1e-5


@pytest.mark.parametrize("number", range(K))
def test_a_one_hot_gate_selects_a_single_expert(number):
    model, gates, experts = made_mixed(made_base())
    plain = peft_lora(experts, RANK // K, expert(number))
    with gates.activate(torch.eye(K)[number].expand(len(ROWS), K)):
        assert (model(ROWS).logits - plain(ROWS).logits).abs().max() < 1e-5


def test_gradients_of_a_uniform_gate_are_those_of_peft():
    model, gates, experts = made_mixed(made_base())
    plain = peft_lora(experts, RANK, lambda inner, outer: (inner, outer))
    with gates.activate(torch.full((len(ROWS), K), 1 / K)):
        model(ROWS).logits.square().mean().backward()
    plain(ROWS).logits.square().mean().backward()
    for name, module in plain.base_model.model.named_modules():
        if hasattr(module, "lora_A"):
            torch.testing.assert_close(
                experts[name].inner.grad, module.lora_A["default"].weight.grad, atol=1e-5, rtol=0
            )
            torch.testing.assert_close(
                experts[name].outer.grad, module.lora_B["default"].weight.grad, atol=1e-5, rtol=0
            )


def test_a_batch_of_gates_equals_one_sample_at_a_time():
    model, gates, _ = made_mixed(made_base())
    drawn = drawn_gates()
    with gates.activate(drawn):
        together = model(ROWS).logits
    for k, row in enumerate(ROWS):
        with gates.activate(drawn[k : k + 1]):
            assert (model(row[None]).logits[0] - together[k]).abs().max() < 1e-5


def test_fresh_experts_add_nothing():
    base = made_base()
    expected, gates = base(ROWS).logits, GateContext(RANK // K)
    add_experts(base, made_mixture(), gates)
    with gates.activate(drawn_gates()):
        assert torch.equal(base(ROWS).logits, expected)


def test_gates_end_with_their_block_also_after_an_error():
    model, gates, _ = made_mixed(made_base())
    with pytest.raises(KeyError), gates.activate(drawn_gates()):
        raise KeyError
    with pytest.raises(RuntimeError, match="no gates are active"):
        model(ROWS)


def test_an_inner_block_restores_the_outer_gates():
    model, gates, _ = made_mixed(made_base())
    with gates.activate(drawn_gates()):
        outer = model(ROWS).logits
        with gates.activate(drawn_gates(seed=9)):
            assert not torch.equal(model(ROWS).logits, outer)
        assert torch.equal(model(ROWS).logits, outer)


def test_gates_of_another_batch_are_refused():
    model, gates, _ = made_mixed(made_base())
    with pytest.raises(RuntimeError, match="3 gates for a batch of 5"), gates.activate(drawn_gates(3)):
        model(ROWS)


def test_the_gates_of_one_model_do_not_affect_another():
    model, gates, _ = made_mixed(made_base())
    other, other_gates, _ = made_mixed(made_base())
    with gates.activate(drawn_gates()):
        model(ROWS)
        with pytest.raises(RuntimeError):
            other(ROWS)
        with other_gates.activate(drawn_gates(seed=9)):
            assert not torch.equal(other(ROWS).logits, model(ROWS).logits)


def gradients(*, checkpointing: bool) -> list[torch.Tensor]:
    model, gates, experts = made_mixed(made_base())
    if checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    drawn = drawn_gates().requires_grad_()
    model.train()
    with gates.activate(drawn):
        model(ROWS, use_cache=False).logits.square().mean().backward()
    return [drawn.grad, *(parameter.grad for module in experts.values() for parameter in module.parameters())]


def test_gradient_checkpointing_changes_no_gradient():
    for plain, recomputed in zip(gradients(checkpointing=False), gradients(checkpointing=True), strict=True):
        torch.testing.assert_close(plain, recomputed, atol=1e-6, rtol=1e-5)


def test_a_backward_pass_outside_the_block_is_refused():
    model, gates, _ = made_mixed(made_base())
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    model.train()
    with gates.activate(drawn_gates()):
        loss = model(ROWS, use_cache=False).logits.mean()
    with pytest.raises(RuntimeError, match="no gates are active"):
        loss.backward()


@pytest.mark.parametrize("kind", ["llama", "neox", "opt"])
def test_other_architectures_get_experts_on_all_their_linear_layers(kind):
    shape = {"vocab_size": VOCAB_SIZE, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    torch.manual_seed(0)
    if kind == "llama":
        base = LlamaForCausalLM(LlamaConfig(**shape, intermediate_size=64)).eval()
        layers = 2 * 7
    elif kind == "opt":  # flattens rows and positions before its feed-forward layers
        base = OPTForCausalLM(OPTConfig(**shape, ffn_dim=64, word_embed_proj_dim=32)).eval()
        layers = 2 * 6
    else:
        base = GPTNeoXForCausalLM(GPTNeoXConfig(**shape, intermediate_size=64)).eval()
        layers = 2 * 4
    model, gates, experts = made_mixed(base)
    assert len(experts) == layers
    assert not isinstance(model.get_output_embeddings(), GatedLinear)
    drawn = drawn_gates()
    with gates.activate(drawn):
        together = model(ROWS).logits
    with gates.activate(drawn[2:3]):
        assert (model(ROWS[2:3]).logits[0] - together[2]).abs().max() < 1e-5


def test_a_base_without_linear_layers_is_refused():
    from transformers import GPT2Config, GPT2LMHeadModel

    base = GPT2LMHeadModel(GPT2Config(vocab_size=VOCAB_SIZE, n_embd=32, n_layer=1, n_head=2))
    with pytest.raises(InputError, match="no linear layers"):
        add_experts(base, made_mixture(), GateContext(2))


def test_on_nf4_a_one_hot_gate_is_peft(tiny_base):
    base = pin(Base(path=str(tiny_base), revision=None))
    model, gates, experts = made_mixed(load_quantised(base), dropout=0.0)
    plain = get_peft_model(
        load_quantised(base), LoraConfig(r=RANK // K, lora_alpha=ALPHA, target_modules=PROJECTIONS)
    ).eval()
    for name, module in plain.base_model.model.named_modules():
        if hasattr(module, "lora_A"):
            inner, outer = expert(1)(experts[name].inner.data, experts[name].outer.data)
            module.lora_A["default"].weight.data.copy_(inner)
            module.lora_B["default"].weight.data.copy_(outer)
    with torch.no_grad():
        with gates.activate(torch.eye(K)[1].expand(len(ROWS), K)):
            logits = model(ROWS).logits.float()
        assert (logits - plain(ROWS).logits.float()).abs().max() < 0.02 * logits.abs().max()  # bfloat16's rounding
        with plain.disable_adapter():
            assert (logits - plain(ROWS).logits.float()).abs().max() > 0.2 * logits.abs().max()
