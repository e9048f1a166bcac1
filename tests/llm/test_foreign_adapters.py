"""Adapters that PEFT wrote elsewhere: accepted where they fit base and engine, refused by name where they do not."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

from kitrec.core import files
from kitrec.core.errors import InputError
from kitrec.llm.base.loading import load_for_serving
from kitrec.llm.base.params import Base
from kitrec.llm.base.pinning import PinnedBase, pin
from kitrec.llm.finetuning.adapters import check_adapter, list_length_warnings, prompt_warnings
from kitrec.llm.finetuning.answer_form import answer_forms
from kitrec.llm.finetuning.foreign_adapters import unserved
from kitrec.llm.finetuning.origins import foreign_warnings, read_origin
from kitrec.llm.likelihood.candidates import Scorer
from kitrec.llm.likelihood.trie import ScoringRequest
from kitrec.prompts.params import Prompt
from tests.llm.made_foreign import ATTENTION, made_foreign


@pytest.fixture
def adapter(tiny_base, tmp_path) -> Path:
    return made_foreign(tiny_base, tmp_path / "published" / "dualft-music")


@pytest.fixture
def wider(tmp_path) -> PinnedBase:
    """A base of another width, with its configuration alone."""
    config = AutoConfig.for_model(
        "qwen3", hidden_size=256, intermediate_size=384, num_hidden_layers=4, num_attention_heads=4, vocab_size=512
    )
    config.save_pretrained(tmp_path / "wider")
    return PinnedBase(str(tmp_path / "wider"), None, "sha256:wider")


def changed(adapter: Path, **values: object) -> Path:
    path = adapter / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
    return adapter


def test_an_adapter_of_peft_without_origin_fits_the_base_it_was_trained_on(adapter, base):
    assert not (adapter / "origin.json").exists()
    config = check_adapter(adapter, base)
    assert config["r"] == 4 and config["target_modules"] == sorted(ATTENTION)
    origin = read_origin(adapter)
    assert origin["base_model"] == base.path and origin["alpha"] == 8 and origin["modules"] == sorted(ATTENTION)
    assert all(origin[key] is None for key in ("base", "records", "candidate_set", "candidates", "prompt", "answer"))


def test_target_modules_of_any_form_and_rank_patterns_are_resolved(tiny_base, base, tmp_path):
    pattern = made_foreign(tiny_base, tmp_path / "a", target_modules=r".*layers\.\d+\.mlp\.(up|down)_proj")
    assert check_adapter(pattern, base)["target_modules"] == ["down_proj", "up_proj"]
    ranks = made_foreign(tiny_base, tmp_path / "b", rank_pattern={"q_proj": 16}, use_rslora=True)
    assert check_adapter(ranks, base)["r"] == 16


def test_shapes_of_another_base_are_refused_with_three_examples(adapter, wider):
    with pytest.raises(InputError) as refused:
        check_adapter(adapter, wider)
    message = str(refused.value)
    assert "does not fit the base" in message and "set base.path to that" in message
    assert message.count("the base's maps") == 3 and "and 13 more" in message
    assert "k_proj maps 192 to 256, the base's maps 256" in message


def test_modules_that_the_base_lacks_and_ranks_unlike_the_configuration_are_refused(adapter, base):
    weights = adapter / "adapter_model.safetensors"
    tensors = load_file(weights)
    save_file({key.replace("layers.3.", "layers.9."): tensor for key, tensor in tensors.items()}, weights)
    with pytest.raises(InputError, match=r"the base has no model\.layers\.9\.self_attn\.k_proj"):
        check_adapter(adapter, base)
    save_file(tensors, weights)
    with pytest.raises(InputError, match=r"has rank 4, adapter_config\.json says 8"):
        check_adapter(changed(adapter, r=8), base)
    save_file({key: tensor.flatten() for key, tensor in tensors.items()}, weights)
    with pytest.raises(InputError, match=r"was saved in parts, as a sharded run leaves it \(shape \(768,\)\)"):
        check_adapter(changed(adapter, r=4), base)
    save_file({key: tensor for key, tensor in tensors.items() if "lora_A" in key}, weights)
    with pytest.raises(InputError, match="lacks one of lora_A and lora_B"):
        check_adapter(changed(adapter, r=4), base)


def test_pickles_and_damaged_weights_are_refused(adapter, base):
    weights = adapter / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5])
    with pytest.raises(InputError, match=r"adapter_model\.safetensors is damaged"):
        check_adapter(adapter, base)
    weights.rename(adapter / "adapter_model.bin")
    with pytest.raises(InputError, match=r"holds adapter_model\.bin, a format that may run code"):
        check_adapter(adapter, base)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"use_dora": True}, "DoRA"),
        ({"modules_to_save": ["lm_head"]}, "modules trained as a whole"),
        ({"trainable_token_indices": [5, 6]}, "trained token embeddings"),
        ({"lora_bias": True}, "LoRA with biases"),
        ({"bias": "all"}, "trained biases"),
        ({"target_modules": ["q_proj", "embed_tokens"]}, "holds trained tensors beside LoRA's"),
        ({"target_modules": ["q_proj", "lm_head"]}, r"which vLLM would leave out: .*lm_head"),
    ],
)
def test_what_peft_trains_beside_plain_lora_is_refused_by_name(tiny_base, base, tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        check_adapter(made_foreign(tiny_base, tmp_path / "adapter", **options), base)


def test_other_kinds_of_adapters_and_ranks_above_the_engines_are_refused(adapter, base):
    with pytest.raises(InputError, match=r"rank 600; vLLM serves ranks up to 512"):
        check_adapter(changed(adapter, r=600), base)
    with pytest.raises(InputError, match="pissa changes the base's weights"):
        check_adapter(changed(adapter, r=4, init_lora_weights="pissa"), base)
    with pytest.raises(InputError, match=r"is of no LoRA adapter \(peft_type 'PREFIX_TUNING'\)"):
        check_adapter(changed(adapter, peft_type="PREFIX_TUNING"), base)


def test_what_is_unknown_is_warned_of_once_and_other_names_of_the_base_too(adapter, base, tiny_base, tmp_path):
    changed(adapter, base_model_name_or_path="unsloth/other-name")
    partial = made_foreign(tiny_base, tmp_path / "part", layers_to_transform=[0, 1])
    folders = {"dualft-music": adapter, "dualft-movies": partial}
    unknown, renamed, layers = foreign_warnings(folders, base)
    assert unknown.startswith("dualft-music, dualft-movies: trained elsewhere; training data, candidate lists, prompt")
    assert renamed.startswith("dualft-music: trained on 'unsloth/other-name', served on ")
    assert layers.startswith("dualft-movies: adapts 8 of the base's 16 k_proj, o_proj, q_proj, v_proj")
    assert list_length_warnings(folders, 20) == [] and prompt_warnings(folders, {"text": "rendered"}) == []
    prompt = Prompt(max_length=2048, text="rendered", summaries=True, labels=False, answer_begins_with="id")
    assert answer_forms(folders, prompt) == {}  # scored in the form that the prompt requests


def test_adapters_trained_here_have_no_such_warnings(adapter, base):
    files.write_json({"base": base.fingerprint, "candidates": 20}, adapter / "origin.json")
    assert foreign_warnings({"dualft-music": adapter}, base) == []
    with pytest.raises(InputError, match="was trained on another base"):
        check_adapter(adapter, replace(base, fingerprint="sha256:other"))


def test_a_foreign_adapter_scores_as_peft_computes_it(tiny_base, base, tmp_path):
    """Rank-stabilised scale, unequal ranks and attention alone, against PEFT on transformers."""
    folder = made_foreign(tiny_base, tmp_path / "one", use_rslora=True, rank_pattern={"q_proj": 8})
    scorer = Scorer(load_for_serving(base, "float32"), base, {"one": folder})
    prefix, names = list(range(300, 330)), [[400, 401], [402]]
    (scores,) = scorer.score([ScoringRequest(prefix, names, "one")])
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32), folder)
    for score, name in zip(scores, names, strict=True):
        ids = torch.tensor([prefix + name])
        with torch.no_grad():
            logits = model.eval()(ids).logits[0, len(prefix) - 1 : -1].log_softmax(-1)
        assert score == pytest.approx(float(logits.gather(1, ids[0, len(prefix) :, None]).sum()), abs=1e-3)


@pytest.mark.slow
def test_the_engine_refuses_what_is_refused_here():
    """vLLM's own check of a configuration, feature by feature."""
    from vllm.lora.peft_helper import PEFTHelper

    plain = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["q_proj"]}
    features = [
        {},
        {"use_rslora": True},
        {"init_lora_weights": "gaussian"},
        *({"init_lora_weights": name} for name in ("pissa", "pissa_niter_4", "olora", "corda", "loftq")),
        {"use_dora": True},
        {"lora_bias": True},
        {"modules_to_save": ["lm_head"]},
        {"layer_replication": [[0, 2], [1, 3]]},
        {"alora_invocation_tokens": [1]},
        {"use_qalora": True},
    ]
    for feature in features:
        helper = PEFTHelper.from_dict(plain | feature)
        assert bool(helper._validate_features()) == bool(unserved(plain | feature)), feature


@pytest.mark.slow
def test_the_engine_answers_by_foreign_adapters_as_peft_does(tiny_base, tmp_path, tokenizer):
    from kitrec.llm.generation.requests import Request
    from kitrec.llm.generation.vllm_engine import Sampling, VllmEngine
    from tests.llm.made_methods import made_engine

    base = pin(Base(path=str(tiny_base), revision=None))
    folders = {
        "attention": made_foreign(tiny_base, tmp_path / "a", seed=1, use_rslora=True, rank_pattern={"q_proj": 12}),
        "mlp": made_foreign(tiny_base, tmp_path / "m", seed=2, r=2, target_modules=r".*mlp\.(up|down)_proj"),
        "layer": made_foreign(tiny_base, tmp_path / "o", seed=4, target_modules=["o_proj"], layers_to_transform=[1]),
        "linear": made_foreign(tiny_base, tmp_path / "l", seed=3, target_modules="all-linear"),
    }
    params = made_engine(dtype="float32", max_model_len=256, max_num_seqs=8, gpu_memory_utilization=0.5)
    engine = VllmEngine(base, params, folders, seed=1, quiet=True)
    prompt = torch.randint(300, 1500, (40,), generator=torch.Generator().manual_seed(4)).tolist()
    greedy = Sampling(max_new_tokens=10, temperature=0.0, top_p=1.0, top_k=0, seed=1)
    replies = engine.generate([Request(prompt, name) for name in folders], greedy)
    for folder, reply in zip(folders.values(), replies, strict=True):
        model = AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32)
        model = PeftModel.from_pretrained(model, folder).eval()
        ids = torch.tensor([prompt])
        written = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=10, do_sample=False)
        assert reply.text == tokenizer.decode(written[0, len(prompt) :]).removesuffix("<|im_end|>")
    assert len({reply.text for reply in replies}) > 1
