"""Weights of other families: scores behind a shared beginning, a fine-tuning of two updates, the engine's scores.

Reference: a separate forward pass of every continuation."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, Gemma3TextConfig

from kitrec.core import files
from kitrec.core.errors import InputError
from kitrec.llm.base.description import check_base, describe_base
from kitrec.llm.base.layers import lora_targets
from kitrec.llm.base.loading import load_for_training
from kitrec.llm.base.params import PROJECTIONS, Base
from kitrec.llm.base.pinning import pin
from kitrec.llm.finetuning.adapters import check_adapter, save_adapter
from kitrec.llm.finetuning.dataset import Sample
from kitrec.llm.finetuning.trainer import fine_tune
from kitrec.llm.likelihood.shared_prefix import likelihoods
from kitrec.llm.likelihood.trie import ScoringRequest
from kitrec.prompts.answer_head import AnswerHead
from kitrec.prompts.template import Style
from kitrec.prompts.tokens import Encoder
from tests.conftest import base_folder
from tests.llm.made_jobs import ONE_PROCESS, made_job
from tests.llm.made_methods import made_engine

REAL = ["smollm2-135m", pytest.param("gemma3-270m", marks=pytest.mark.slow)]
DIRECT = Style(thinking=False, answer_items=1, summaries=False)
QUESTION = """A reader liked these books:
- Dune | Science Fiction | Rating: 5.0
- Solaris <|im_end|> | Rating: 4.0
Candidates:
(ID: B000A) Alien | Horror
(ID: B000B1) Paddington | Family
Which one is next?"""
IDS = ["B000A", "B000B1", "B000B", "C7", "0000099"]


def scoring_request(tokenizer, count: int) -> ScoringRequest:
    """A short prompt and some ids as they are scored: real bases are slow here."""
    encoder = Encoder(tokenizer)
    prefix, names = AnswerHead(encoder, DIRECT).prefix_and_names(
        encoder.prompt(QUESTION, thinking=False), None, IDS[:count]
    )
    return ScoringRequest(prefix, names, None)


def one_by_one(model, request: ScoringRequest) -> np.ndarray:
    values = []
    for name in request.continuations:
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([request.prefix + name])).logits[0, len(request.prefix) - 1 : -1]
        values.append(logits.log_softmax(-1).gather(1, torch.tensor(name)[:, None]).sum().item())
    return np.array(values)


@pytest.mark.parametrize("name", REAL)
def test_scores_behind_a_shared_prompt_are_those_of_separate_forward_passes(name):
    folder = base_folder(name)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    request = scoring_request(AutoTokenizer.from_pretrained(folder), 3)
    (values,) = likelihoods(model, [request])
    assert np.abs(values - one_by_one(model, request)).max() < 1e-3


@pytest.mark.parametrize("kinds", [("sliding_attention", "full_attention"), ("sliding_attention",) * 2])
def test_a_sliding_window_ends_where_it_does_in_a_separate_forward_pass(kinds):
    """The window of eight tokens is shorter than the prompts, and some names are longer than it."""
    config = Gemma3TextConfig(
        vocab_size=500, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, head_dim=16, sliding_window=8, layer_types=list(kinds), query_pre_attn_scalar=16,
    )  # fmt: skip
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).eval()
    g = np.random.default_rng(1)

    def ids(count: int) -> list[int]:
        return g.integers(5, 500, count).tolist()

    start = ids(4)
    requests = [ScoringRequest(ids(n), [start + ids(k) for k in (1, 3, 9)], None) for n in (3, 20, 31)]
    for request, values in zip(requests, likelihoods(model, requests), strict=True):
        assert np.abs(values - one_by_one(model, request)).max() < 1e-4


@pytest.mark.parametrize("name", REAL)
def test_a_real_base_learns_two_updates_and_its_adapter_fits_it(name, p, tmp_path):
    base = pin(Base(path=str(base_folder(name)), revision=None))
    tokenizer = AutoTokenizer.from_pretrained(base.path)
    result = train(base, tokenizer, p, tmp_path, "bf16")
    losses = [entry["loss"] for entry in result.log if "loss" in entry]
    assert result.steps == 2 and all(0 < loss < 10 for loss in losses)
    save_adapter(result.checkpoint, tokenizer, base, {}, tmp_path / "adapter")
    assert sorted(check_adapter(tmp_path / "adapter", base)["target_modules"]) == sorted(PROJECTIONS)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["smollm2-135m", "gemma3-270m"])
def test_a_qlora_run_that_was_cut_resumes_to_the_same_bytes(name, p, tmp_path):
    base = pin(Base(path=str(base_folder(name)), revision=None))
    tokenizer = AutoTokenizer.from_pretrained(base.path)
    hashes = []
    for run, cuts in (("whole", [2]), ("broken", [1, 2])):
        (tmp_path / run).mkdir()
        for epochs in cuts:  # the first of two ends at its checkpoint, as if it had been stopped there
            result = train(base, tokenizer, p, tmp_path / run, "nf4", stop_after=epochs)
        save_adapter(result.checkpoint, tokenizer, base, {}, tmp_path / f"{run}.adapter")
        hashes.append(files.sha256(tmp_path / f"{run}.adapter" / "adapter_model.safetensors"))
    assert hashes[0] == hashes[1]


class StoppedError(Exception):
    """What stops a training in the middle."""


class StopsAt(list):
    """Samples that cannot be read more than so many times."""

    def __init__(self, samples, reads: int) -> None:
        super().__init__(samples)
        self.left = reads

    def __getitem__(self, index):
        self.left -= 1
        if self.left < 0:
            raise StoppedError
        return super().__getitem__(index)


def train(base, tokenizer, p, folder, weights: str, *, stop_after: int = 2):
    """Train on four short samples for two updates of two."""
    encoder = Encoder(tokenizer)
    samples = []
    for k in range(4):
        prompt = encoder.prompt(f"{QUESTION} ({'x' * k})", thinking=True)
        answer = encoder.answer(f'<think>\nSpace -> Space\n</think>\n\n{{"item_id": "{IDS[k]}"}}', thinking=True)
        samples.append(Sample(f"r{k}", np.array(prompt + answer, dtype=np.int32), len(prompt)))
    job = made_job(
        partial(load_for_training, base, weights, sharded=False), folder, train=samples, development=samples[:1]
    )
    short = replace(p, epochs=1, gradient_accumulation_steps=1, batch_size=2, eval_batch_size=1)
    if stop_after == 1:
        job = replace(job, train=StopsAt(samples, 3))
        with pytest.raises(StoppedError):
            fine_tune(job, short, ONE_PROCESS)
        return None
    return fine_tune(job, short, ONE_PROCESS)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["smollm2-135m", "gemma3-270m"])
def test_the_engine_scores_as_transformers_does(name):
    from kitrec.llm.generation.vllm_engine import VllmEngine

    base = pin(Base(path=str(base_folder(name)), revision=None))
    request = scoring_request(AutoTokenizer.from_pretrained(base.path), 5)
    engine = VllmEngine(base, made_engine(dtype="float32", max_model_len=2048), {}, seed=0, quiet=True)
    (served,) = engine.likelihoods([request])
    model = AutoModelForCausalLM.from_pretrained(base.path, dtype=torch.float32).eval()
    (expected,) = likelihoods(model, [request])
    assert np.abs(served - expected).max() < 1e-3


def test_what_the_pipeline_takes_from_a_base_is_told(tiny_base):
    described = describe_base(pin(Base(path=str(tiny_base), revision=None)))
    assert described["end of turn"] == "'<|im_end|>' (2)" and described["thought marks"] == "1 and 1 tokens"
    assert described["LoRA adapts"] == f"{', '.join(PROJECTIONS)} (28 layers)"


def test_lora_targets_are_all_linear_layers_but_the_head_of_any_family():
    """Reference: PEFT's own `all-linear`."""
    from peft import LoraConfig, get_peft_model
    from transformers import GPT2Config, OPTConfig, Phi3Config

    for config in (
        GPT2Config(vocab_size=50, n_embd=16, n_layer=1, n_head=2),
        OPTConfig(vocab_size=50, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, ffn_dim=32),
        Phi3Config(
            vocab_size=50, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2,
            intermediate_size=32, pad_token_id=0, bos_token_id=1, eos_token_id=2,
        ),
    ):  # fmt: skip
        model = AutoModelForCausalLM.from_config(config)
        ours = lora_targets(model)
        peft = get_peft_model(model, LoraConfig(target_modules="all-linear", task_type="CAUSAL_LM"))
        assert set(ours) == {name.rpartition(".")[2] for name in peft.peft_config["default"].target_modules}
        assert lora_targets(peft) == ours  # adapters on the layers change nothing


def test_a_base_that_breaks_an_assumption_is_refused_by_name(tiny_base, tmp_path):
    from transformers import CohereConfig, MambaConfig

    def made(config, name: str):
        folder = tmp_path / name
        AutoModelForCausalLM.from_config(config).save_pretrained(folder)
        AutoTokenizer.from_pretrained(tiny_base).save_pretrained(folder)
        return pin(Base(path=str(folder), revision=None))

    sizes = {"vocab_size": 4000, "hidden_size": 32, "num_hidden_layers": 1, "intermediate_size": 64}
    cohere = made(CohereConfig(**sizes, num_attention_heads=2, num_key_value_heads=2), "cohere")
    with pytest.raises(InputError, match="cohere changes its logits behind the head"):
        check_base(cohere)
    mamba = made(MambaConfig(**{k: v for k, v in sizes.items() if k != "intermediate_size"}), "mamba")
    with pytest.raises(InputError, match="mamba"):
        check_base(mamba)
    small = made(Gemma3TextConfig(**{**sizes, "vocab_size": 2}, num_attention_heads=2, head_dim=16), "small")
    with pytest.raises(InputError, match="the base has embeddings of 2"):
        check_base(small)
