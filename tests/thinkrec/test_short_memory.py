"""ThinkRec where memory is short: checkpointing and smaller micro-batches learn the same, scoring streams prompts."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.autograd.graph import saved_tensors_hooks
from transformers import AutoConfig, AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel

from kitrec.core.errors import InputError
from kitrec.llm.base.embeddings import load_embeddings
from kitrec.llm.base.params import Base
from kitrec.llm.base.pinning import PinnedBase, pin
from kitrec.llm.finetuning.lora import adapter_weights
from kitrec.prompts.tokens import Encoder
from kitrec.thinkrec import vllm_scoring
from kitrec.thinkrec.injection import embed
from kitrec.thinkrec.model import ThinkModel
from kitrec.thinkrec.projector import Projector
from kitrec.thinkrec.samples import samples, verdict_tokens
from kitrec.thinkrec.training import Stage, train_stage
from kitrec.thinkrec.vllm_scoring import ServedStage
from tests.thinkrec.made_thinkrec import (
    WIDTH,
    made_composer,
    made_model,
    made_objective,
    made_record,
    made_training_config,
)


@dataclass(frozen=True)
class Trained:
    weights: dict[str, torch.Tensor]
    losses: list[float]
    kept: int


@pytest.fixture
def train(tiny_base, tokenizer, tmp_path):
    """Train two updates of eight samples; return weights, losses, and the bytes kept for backward passes."""

    def trained(name: str, most: int = 100, learned: str = "all", **changed) -> Trained:
        model = made_model(tiny_base, tokenizer)
        forward, kept = model.outputs, [0]

        def outputs(batch):
            if len(batch) > most:
                raise torch.OutOfMemoryError("CUDA out of memory (injected)")
            return forward(batch)

        def keep(tensor):
            kept[0] += tensor.nbytes
            return tensor

        model.outputs = outputs
        projected = dict(model.projector.named_parameters())
        tensors = projected if learned == "projector" else {**projected, **adapter_weights(model.llm, "general")}
        records = [made_record(k) for k in range(8)]
        stage_samples = samples(records, made_composer(tokenizer), Encoder(tokenizer), 0)
        config = made_training_config(updates=2, validate_every=1, batch_size=8, micro_batch_size=8, **changed)
        work = tmp_path / name
        work.mkdir()
        stage = Stage("projector", stage_samples, config, made_objective(), 0, work)
        with saved_tensors_hooks(keep, lambda tensor: tensor):
            rows = train_stage(model, tensors, stage, lambda: {"auc": 0.5}, lambda _: None).progress.rows
        weights = {key: tensor.detach().clone() for key, tensor in tensors.items()}
        return Trained(weights, [row["loss"] for row in rows], kept[0])

    return trained


@pytest.mark.parametrize("learned", ["all", "projector"])
def test_checkpointing_learns_the_same_and_keeps_less(train, learned):
    """Of a frozen adapter as well, whose LLM is not in training mode."""
    plain = train("plain", learned=learned)
    checkpointed = train("checkpointed", learned=learned, gradient_checkpointing=True)
    assert all(torch.allclose(plain.weights[name], checkpointed.weights[name], atol=1e-5) for name in plain.weights)
    assert checkpointed.kept < plain.kept / 2


def test_out_of_memory_an_update_is_repeated_in_smaller_micro_batches(train, capsys):
    """The second loss is that of weights which the first update changed."""
    assert train("parts", most=3).losses == pytest.approx(train("whole").losses, rel=1e-3)
    lines = [line for line in capsys.readouterr().err.splitlines() if "out of memory" in line]
    assert lines == [f"out of memory: micro-batches of {size} from here on" for size in (4, 2)]  # once, not each update


def test_a_sample_that_does_not_fit_is_an_error_with_the_way_out(train):
    with pytest.raises(InputError, match="one sample at a time: set gradient_checkpointing"):
        train("none", most=0)


@dataclass
class CountingEngine:
    """Keeps the sizes of its calls, and scores a prompt by its length."""

    calls: list[int] = field(default_factory=list)

    def log_probabilities(self, prompts, answers):
        self.calls.append(sum(rows.nbytes for rows in prompts))
        return np.array([[-float(len(rows)), -1.0] for rows in prompts])[:, : len(answers)]


def test_prompts_are_embedded_a_part_at_a_time_in_their_order(tiny_base, tokenizer, monkeypatch):
    model, composer = made_model(tiny_base, tokenizer), made_composer(tokenizer)
    prompts = [composer.compose(made_record(k)) for k in range(30)]
    sizes = [embed([prompt], model.table, model.projector, "right").rows[0].nbytes for prompt in prompts]
    limit = 5 * max(sizes)
    monkeypatch.setattr(vllm_scoring, "EMBEDDED_BYTES", limit)
    served = ServedStage(CountingEngine(), model.table, model.projector, verdict_tokens(Encoder(tokenizer)))
    scores = served.log_probabilities(iter(prompts))
    assert scores[:, 0].tolist() == [-len(prompt) for prompt in prompts]
    assert max(served.engine.calls) <= limit < sum(sizes) / 3
    assert sum(served.engine.calls) == sum(sizes)
    monkeypatch.setattr(vllm_scoring, "EMBEDDED_BYTES", 1)  # a prompt larger than the limit goes alone
    alone = replace(served, engine=CountingEngine())
    assert np.array_equal(alone.log_probabilities(prompts), scores) and alone.engine.calls == sizes


def test_the_embedding_table_is_that_of_the_model(tiny_base):
    base = pin(Base(path=str(tiny_base), revision=None))
    table = load_embeddings(base, torch.float32)
    whole = AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32).get_input_embeddings()
    ids = torch.arange(50)
    assert torch.equal(table(ids), whole(ids)) and not table.weight.requires_grad


def test_a_table_in_several_files_without_the_name_of_the_transformer_is_found(tmp_path):
    """As GPT-2 is published: wte.weight, and not transformer.wte.weight."""
    config = GPT2Config(vocab_size=30, n_positions=8, n_embd=8, n_layer=1, n_head=2)
    GPT2LMHeadModel(config).save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    bare = {name.removeprefix("transformer."): tensor for name, tensor in tensors.items()}
    save_file({"wte.weight": bare.pop("wte.weight")}, tmp_path / "model-00002-of-00002.safetensors")
    save_file(bare, tmp_path / "model-00001-of-00002.safetensors")
    (tmp_path / "model.safetensors").unlink()
    table = load_embeddings(PinnedBase(str(tmp_path), None, "x"), torch.float32)
    assert torch.equal(table.weight, tensors["transformer.wte.weight"])
    (tmp_path / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(InputError, match=r"has no tensor transformer\.wte\.weight"):
        load_embeddings(PinnedBase(str(tmp_path), None, "x"), torch.float32)


def test_prompts_on_the_meta_device_have_the_shapes_of_their_samples(tiny_base, tokenizer):
    """Placement without any memory: tokens, vectors and slots go where the model is. The LLM's own forward pass has to
    see values for its masks; tests/run_on_card.py runs it."""
    with torch.device("meta"):
        llm = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(tiny_base))
        model = ThinkModel(llm, Projector(WIDTH, llm.config.hidden_size, 10), verdict_tokens(Encoder(tokenizer)))
    composer = made_composer(tokenizer)
    prompts = [composer.compose(made_record(k)) for k in range(5)]
    batch = embed(prompts, model.table, model.projector, "right")
    assert batch.rows.is_meta and batch.mask.is_meta
    assert batch.rows.shape == (5, max(map(len, prompts)), llm.config.hidden_size)
    assert model.verdict_logits(batch.rows[:, -1]).shape == (5, 2)
