"""A base in NF4 is close to the whole base, or it is refused."""

import pytest
import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from kitrec.core.errors import InputError
from kitrec.llm.base.loading import load_quantised
from kitrec.llm.base.pinning import PinnedBase


def made_base(folder, hidden):
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=64,
        hidden_size=hidden,
        intermediate_size=128,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=32,
    )
    Qwen3ForCausalLM(config).save_pretrained(folder)
    return PinnedBase(str(folder), None, "")


@pytest.mark.skipif(torch.cuda.is_available(), reason="the limit is the CPU kernels'")
def test_a_width_that_the_cpu_kernels_get_wrong_is_refused(tmp_path):
    with pytest.raises(InputError, match="hidden_size is 96; on a CPU, NF4 needs a multiple of 64"):
        load_quantised(made_base(tmp_path, 96))


def test_the_quantised_shipped_base_has_nearly_the_logits_of_the_base(tiny_base):
    text = torch.randint(300, 3000, (1, 200), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        exact = Qwen3ForCausalLM.from_pretrained(tiny_base, dtype=torch.float32)(input_ids=text).logits[0]
        rough = load_quantised(PinnedBase(str(tiny_base), None, ""))(input_ids=text).logits[0].float()
    assert torch.cosine_similarity(exact, rough, dim=-1).mean() > 0.9
