"""The engine against transformers + peft on the tiny base in float32: adapters and base rows in one batch."""

from pathlib import Path

import pytest
import torch
from peft import PeftModel, get_peft_model
from transformers import AutoModelForCausalLM

from kitrec.llm.adapters import save_adapter
from kitrec.llm.params import Base, Engine
from kitrec.llm.pinned_base import pin
from kitrec.llm.requests import Request
from kitrec.llm.settings import PROJECTIONS
from kitrec.llm.vllm_engine import VllmEngine

NAMES = ("one", "two", "three")


@pytest.fixture(scope="module")
def served(tmp_path_factory, tiny_base, tokenizer):
    """An engine with three random adapters of different ranks, and their folders."""
    from peft import LoraConfig

    folder = tmp_path_factory.mktemp("adapters")
    base = pin(Base(path=str(tiny_base), revision=None))
    for number, name in enumerate(NAMES):
        torch.manual_seed(number)
        rank = 4 * (number + 1)
        config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=PROJECTIONS, task_type="CAUSAL_LM")
        model = get_peft_model(AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32), config)
        for key, parameter in model.named_parameters():
            if "lora_B" in key:
                parameter.data = torch.randn_like(parameter) * 0.1
        model.save_pretrained(folder / f"{name}.checkpoint")
        save_adapter(folder / f"{name}.checkpoint", tokenizer, base, {}, folder / name)
    engine = Engine(dtype="float32", max_model_len=512, max_parallel=16, kv_cache_gib=1.0, memory_share=0.5, shard=8)
    return VllmEngine(base, engine, {n: folder / n for n in NAMES}, seed=1, quiet=True), folder


def requests() -> list[Request]:
    g = torch.Generator().manual_seed(4)
    prompts = [torch.randint(300, 1500, (30 + 7 * k,), generator=g).tolist() for k in range(8)]
    return [Request(prompt, [None, *NAMES][k % 4]) for k, prompt in enumerate(prompts)]


def reference(tiny_base: Path, folder: Path, adapter: str | None):
    model = AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32)
    return PeftModel.from_pretrained(model, str(folder / adapter)).eval() if adapter else model.eval()


def test_log_likelihoods_of_mixed_rows_equal_transformers_and_peft(served, tiny_base):
    from vllm import SamplingParams, TokensPrompt

    engine, folder = served
    batch = requests()
    outputs = engine._llm.generate(
        [TokensPrompt(prompt_token_ids=r.prompt) for r in batch],
        SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=0),
        lora_request=engine._adapters_of(batch),
        use_tqdm=False,
    )
    for request, output in zip(batch, outputs, strict=True):
        ids = torch.tensor([request.prompt])
        with torch.no_grad():
            logits = reference(tiny_base, folder, request.adapter)(ids).logits[0, :-1]
        expected = logits.log_softmax(-1).gather(1, ids[0, 1:, None])[:, 0]
        got = [entry[t].logprob for entry, t in zip(output.prompt_logprobs[1:], request.prompt[1:], strict=True)]
        assert torch.tensor(got) == pytest.approx(expected, abs=2e-3)


def test_greedy_texts_equal_transformers_and_depend_on_nothing_asked_before(served, tiny_base, tokenizer):
    engine, folder = served
    batch = requests()
    together = engine.generate(batch, max_new_tokens=12, temperature=0.0, seed=1)
    alone = [engine.generate([r], max_new_tokens=12, temperature=0.0, seed=1)[0] for r in reversed(batch)]
    assert together == list(reversed(alone))
    for request, reply in zip(batch[:4], together, strict=False):
        model = reference(tiny_base, folder, request.adapter)
        ids = torch.tensor([request.prompt])
        written = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False)
        assert reply.text == tokenizer.decode(written[0, ids.shape[1] :]).removesuffix("<|im_end|>")
