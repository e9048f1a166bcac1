"""The mixture against the real peft library, and against itself one sample at a time."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, LlamaConfig, LlamaForCausalLM, OPTConfig, OPTForCausalLM

from kitrec.core.errors import InputError
from kitrec.ilora.experts import Gated, Gates, add_experts
from kitrec.llm.base.loading import load_quantised
from kitrec.llm.base.params import PROJECTIONS, Base
from kitrec.llm.base.pinning import pin
from tests.ilora.made_teachers import WORDS, a_base, a_mixture

K, RANK, ALPHA = 4, 8, 16.0
ROWS = torch.randint(0, WORDS, (5, 11), generator=torch.Generator().manual_seed(1))


def mixed(base, **changed):
    """(model, gates, experts) with weights drawn far from zero."""
    gates = Gates(RANK // K)
    experts = add_experts(base, a_mixture(**changed), gates)
    g = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for own in experts.values():
            own.inner.normal_(0, 0.3, generator=g)
            own.outer.normal_(0, 0.3, generator=g)
    return base, gates, experts


def peft_lora(experts, rank: int, take) -> nn.Module:
    """The same base with peft's LoRA; `take(A, B)` says which weights of the mixture it has."""
    model = get_peft_model(a_base(), LoraConfig(r=rank, lora_alpha=ALPHA, target_modules=PROJECTIONS)).eval()
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
    model, gates, experts = mixed(a_base())
    plain = peft_lora(experts, RANK, lambda inner, outer: (inner, outer))
    with gates.speak(torch.full((len(ROWS), K), 1 / K)):
        own = model(ROWS).logits
    assert (own - plain(ROWS).logits).abs().max() < 1e-5
    assert (own - a_base()(ROWS).logits).abs().max() > 0.1


def test_equal_experts_are_plain_lora_of_one_rank_whatever_the_gate_says():
    model, gates, experts = mixed(a_base())
    with torch.no_grad():
        for own in experts.values():
            own.inner.copy_(own.inner[: RANK // K].repeat(K, 1))
            own.outer.copy_(own.outer[:, : RANK // K].repeat(1, K))
    plain = peft_lora(experts, RANK // K, expert(0))
    with gates.speak(drawn_gates()):
        assert (model(ROWS).logits - plain(ROWS).logits).abs().max() < 1e-5


@pytest.mark.parametrize("number", range(K))
def test_a_one_hot_gate_is_that_expert_alone(number):
    model, gates, experts = mixed(a_base())
    plain = peft_lora(experts, RANK // K, expert(number))
    with gates.speak(torch.eye(K)[number].expand(len(ROWS), K)):
        assert (model(ROWS).logits - plain(ROWS).logits).abs().max() < 1e-5


def test_gradients_of_a_uniform_gate_are_those_of_peft():
    model, gates, experts = mixed(a_base())
    plain = peft_lora(experts, RANK, lambda inner, outer: (inner, outer))
    with gates.speak(torch.full((len(ROWS), K), 1 / K)):
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


def test_a_batch_of_gates_is_one_sample_at_a_time():
    model, gates, _ = mixed(a_base())
    drawn = drawn_gates()
    with gates.speak(drawn):
        together = model(ROWS).logits
    for k, row in enumerate(ROWS):
        with gates.speak(drawn[k : k + 1]):
            assert (model(row[None]).logits[0] - together[k]).abs().max() < 1e-5


def test_fresh_experts_say_nothing():
    base = a_base()
    wanted, gates = base(ROWS).logits, Gates(RANK // K)
    add_experts(base, a_mixture(), gates)
    with gates.speak(drawn_gates()):
        assert torch.equal(base(ROWS).logits, wanted)


def test_gates_end_with_their_block_also_after_an_error():
    model, gates, _ = mixed(a_base())
    with pytest.raises(KeyError), gates.speak(drawn_gates()):
        raise KeyError
    with pytest.raises(RuntimeError, match="no gates are set"):
        model(ROWS)


def test_a_block_inside_another_gives_the_gates_back():
    model, gates, _ = mixed(a_base())
    with gates.speak(drawn_gates()):
        before = model(ROWS).logits
        with gates.speak(drawn_gates(seed=9)):
            assert not torch.equal(model(ROWS).logits, before)
        assert torch.equal(model(ROWS).logits, before)


def test_gates_of_another_batch_are_refused():
    model, gates, _ = mixed(a_base())
    with pytest.raises(RuntimeError, match="3 gates for a batch of 5"), gates.speak(drawn_gates(3)):
        model(ROWS)


def test_two_models_do_not_hear_each_other():
    one, gates, _ = mixed(a_base())
    other, other_gates, _ = mixed(a_base())
    with gates.speak(drawn_gates()):
        one(ROWS)
        with pytest.raises(RuntimeError):
            other(ROWS)
        with other_gates.speak(drawn_gates(seed=9)):
            assert not torch.equal(other(ROWS).logits, one(ROWS).logits)


def gradients(*, checkpointing: bool) -> list[torch.Tensor]:
    model, gates, experts = mixed(a_base())
    if checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    drawn = drawn_gates().requires_grad_()
    model.train()
    with gates.speak(drawn):
        model(ROWS, use_cache=False).logits.square().mean().backward()
    return [drawn.grad, *(own.grad for e in experts.values() for own in e.parameters())]


def test_gradient_checkpointing_changes_no_gradient():
    for one, other in zip(gradients(checkpointing=False), gradients(checkpointing=True), strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)


def test_a_backward_pass_outside_of_the_block_is_refused_and_not_wrong():
    model, gates, _ = mixed(a_base())
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    model.train()
    with gates.speak(drawn_gates()):
        loss = model(ROWS, use_cache=False).logits.mean()
    with pytest.raises(RuntimeError, match="no gates are set"):
        loss.backward()


@pytest.mark.parametrize("kind", ["llama", "neox", "opt"])
def test_other_architectures(kind):
    shape = {"vocab_size": WORDS, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    torch.manual_seed(0)
    if kind == "llama":
        base = LlamaForCausalLM(LlamaConfig(**shape, intermediate_size=64)).eval()
        layers = 2 * 7
    elif kind == "opt":  # flattens rows and places before its feed-forward layers
        base = OPTForCausalLM(OPTConfig(**shape, ffn_dim=64, word_embed_proj_dim=32)).eval()
        layers = 2 * 6
    else:
        base = GPTNeoXForCausalLM(GPTNeoXConfig(**shape, intermediate_size=64)).eval()
        layers = 2 * 4
    model, gates, experts = mixed(base)
    assert len(experts) == layers
    assert not isinstance(model.get_output_embeddings(), Gated)
    drawn = drawn_gates()
    with gates.speak(drawn):
        together = model(ROWS).logits
    with gates.speak(drawn[2:3]):
        assert (model(ROWS[2:3]).logits[0] - together[2]).abs().max() < 1e-5


def test_a_base_without_linear_layers_is_refused():
    from transformers import GPT2Config, GPT2LMHeadModel

    base = GPT2LMHeadModel(GPT2Config(vocab_size=WORDS, n_embd=32, n_layer=1, n_head=2))
    with pytest.raises(InputError, match="no linear layers"):
        add_experts(base, a_mixture(), Gates(2))


def test_on_nf4_a_one_hot_gate_is_peft_and_batches_are_single_samples(tiny_base):
    base = pin(Base(path=str(tiny_base), revision=None))
    model, gates, experts = mixed(load_quantised(base), dropout=0.0)
    plain = get_peft_model(
        load_quantised(base), LoraConfig(r=RANK // K, lora_alpha=ALPHA, target_modules=PROJECTIONS)
    ).eval()
    for name, module in plain.base_model.model.named_modules():
        if hasattr(module, "lora_A"):
            inner, outer = expert(1)(experts[name].inner.data, experts[name].outer.data)
            module.lora_A["default"].weight.data.copy_(inner)
            module.lora_B["default"].weight.data.copy_(outer)
    with torch.no_grad():
        with gates.speak(torch.eye(K)[1].expand(len(ROWS), K)):
            own = model(ROWS).logits.float()
        assert (own - plain(ROWS).logits.float()).abs().max() < 0.02 * own.abs().max()  # bfloat16's rounding
        with plain.disable_adapter():
            assert (own - plain(ROWS).logits.float()).abs().max() > 0.2 * own.abs().max()
