"""Small records, vectors and models of ThinkRec for its tests."""

from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForCausalLM

from kitrec.llm.base.params import Adapter
from kitrec.llm.finetuning.lora import adapter_weights, with_adapter
from kitrec.prompts.tokens import Encoder
from kitrec.thinkrec.model import ThinkModel
from kitrec.thinkrec.params import Objective, RoutingRule, TrainingConfig
from kitrec.thinkrec.projector import Projector
from kitrec.thinkrec.prompt_composer import PromptComposer
from kitrec.thinkrec.records import Record
from kitrec.thinkrec.samples import verdict_tokens
from kitrec.thinkrec.vector_shards import Vectors

WIDTH = 6
TEXT = "Would this reader enjoy <TargetItemTitle> after <ItemTitleList>? Answer Yes or No."
BOTH = "Reader <UserID> liked <ItemTitleList> <HisItemList>. Would they enjoy <TargetItemTitle> <TargetItemID>?"
ADAPTER = Adapter(rank=4, alpha=8, dropout=0.0)
ROUTING = RoutingRule(temperature=0.1, top_base=0.5, top_slope=0.6, entropy=0.95, merge="concatenation")


def made_objective(**changes) -> Objective:
    fields = {"alpha": 0.1, "beta": 0.9, "theta": 0.9, "gamma": 0.1, "logit": "yes", "reasoning_ratio": 0.2}
    return Objective(**(fields | changes))


def made_training_config(**changes) -> TrainingConfig:
    fields = {
        "updates": 4,
        "validate_every": 2,
        "batch_size": 4,
        "micro_batch_size": 4,
        "learning_rate": 1e-3,
        "warmup_ratio": 0.0,
        "weight_decay": 0.0,
    }
    fields |= {"max_grad_norm": 1.0, "patience": 9, "gradient_checkpointing": False}
    return TrainingConfig(**(fields | changes))


def made_record(number: int, **changes) -> Record:
    history = changes.pop("history", tuple(f"i{(number + k) % 9}" for k in range(1 + number % 4)))
    fields = {"titles": tuple(f"Film {item}" for item in history), "target": f"i{(number + 5) % 9}"}
    fields |= {"target_title": f"Film {number}", "label": number % 2}
    return Record(f"u{number % 5}", history, **(fields | changes))


def made_vectors(prefix: str, count: int, seed: int = 0) -> Vectors:
    rows = np.random.default_rng(seed).normal(size=(count, WIDTH)).astype(np.float32)
    return Vectors([f"{prefix}{k}" for k in range(count)], rows)


def made_composer(
    tokenizer, templates=(BOTH,), users: Vectors | None = None, items: Vectors | None = None
) -> PromptComposer:
    fields = made_vectors("u", 5), made_vectors("i", 9, seed=1)
    return PromptComposer(templates, Encoder(tokenizer), 10, users or fields[0], items or fields[1])


def made_model(tiny_base: Path, tokenizer, adapters=("general",), seed: int = 0) -> ThinkModel:
    """The tiny base in 32 bits with adapters that do something, and a projector."""
    torch.manual_seed(seed)
    llm = AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32)
    projector = Projector(WIDTH, llm.config.hidden_size, 10)
    projector.fit_to(made_vectors("i", 9).rows, llm.get_input_embeddings().weight)
    for name in adapters:
        llm = with_adapter(llm, ADAPTER, name)
        for key, fields in adapter_weights(llm, name).items():
            if "lora_B" in key:
                fields.data.normal_(0, 0.05)
    return ThinkModel(llm.eval(), projector.eval(), verdict_tokens(Encoder(tokenizer)))


def made_batch(mode: str) -> list[Record]:
    """Five records of one mode, of unlike lengths."""
    if mode == "v2":
        return [made_record(k) for k in range(5)]
    reasons = [f"{'Yes' if k % 2 else 'No'}. {'It fits the history. ' * (k + 1)}" for k in range(5)]
    return [made_record(k, mode="v1", reason=why) for k, why in enumerate(reasons)]
