"""Small teachers: a random Qwen3 or the tiny base, a small SASRec as encoder, experts far from zero."""

import numpy as np
import torch
from transformers import AutoModelForCausalLM, Qwen3Config, Qwen3ForCausalLM

from kitrec.ilora.params import MLP, Curriculum, Dense, Ilora, Mixture, Noisy, PromptConfig, TopK, TrainingConfig
from kitrec.ilora.sequence_encoder import SequenceEncoder
from kitrec.ilora.teacher import Teacher
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.recommenders.models.params import SASRec
from kitrec.recommenders.models.registry import build_sequence_model
from kitrec.recommenders.storage import StoredModel

VOCAB_SIZE, HIDDEN_SIZE = 97, 32
GATES = {
    "dense": Dense(kind="dense"),
    "top_k": TopK(kind="top_k", active_experts=2),
    "mlp": MLP(kind="mlp", hidden_size=8),
    "noisy": Noisy(kind="noisy", active_experts=3),
}


def made_mixture(**changed) -> Mixture:
    defaults = {"experts": 4, "rank": 8, "alpha": 16.0, "dropout": 0.0, "gate": GATES["dense"]}
    return Mixture(**(defaults | changed))


def made_base(seed: int = 0) -> Qwen3ForCausalLM:
    """Return a random model in float32."""
    torch.manual_seed(seed)
    config = Qwen3Config(
        vocab_size=VOCAB_SIZE,
        hidden_size=HIDDEN_SIZE,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        tie_word_embeddings=True,
        eos_token_id=1,
        pad_token_id=0,
    )
    return Qwen3ForCausalLM(config).eval()


def shipped_base(tiny_base) -> torch.nn.Module:
    return AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32).eval()


def made_stored_model(item_ids: list[str], seed: int = 0) -> StoredModel:
    p = SASRec(kind="sasrec", hidden_size=16, heads=2, layers=1, max_length=12, dropout=0.0)
    torch.manual_seed(seed)
    model = build_sequence_model(p, len(item_ids))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0.0, 0.5)
        model.items.weight[0].zero_()
    return StoredModel(model.eval(), Vocabulary(item_ids), np.ones(len(item_ids) + 1, np.float32), {})


def made_encoder(count: int = 20) -> SequenceEncoder:
    return SequenceEncoder(made_stored_model([f"I{k:02}" for k in range(count)]))


def made_teacher(base=None, encoder: SequenceEncoder | None = None, seed: int = 0, **changed) -> Teacher:
    """Return a teacher with nonzero experts, whose gate differs between users."""
    torch.manual_seed(seed)
    teacher = Teacher(base or made_base(), encoder or made_encoder(), made_mixture(**changed))
    with torch.no_grad():
        for experts in teacher.learned.experts.values():
            experts.outer.normal_(0.0, 0.05)
    teacher.train(False)
    return teacher


def made_training_config(**changed) -> TrainingConfig:
    defaults = {"epochs": 2, "batch_size": 4, "gradient_accumulation_steps": 2, "learning_rate": 1e-3}
    defaults |= {"gate_lr_ratio": 0.3, "weight_decay": 0.0, "warmup_ratio": 0.1, "max_grad_norm": 1.0}
    defaults |= {"validate_every": 2, "patience": 9, "gradient_checkpointing": False}
    defaults |= {"curriculum": Curriculum(text_until=0.0, hybrid_from=0.5)}
    return TrainingConfig(**(defaults | changed))


def made_prompt_config(**changed) -> PromptConfig:
    return PromptConfig(**({"max_history": 10, "answer": "title", "hybrid": True, "max_length": 2048} | changed))


def made_params(**changed) -> Ilora:
    defaults = {"base_weights": "f32", "mixture": made_mixture(dropout=0.1), "prompt": made_prompt_config()}
    return Ilora(**(defaults | {"training": made_training_config(), "per_token": False, "folds": 1} | changed))
