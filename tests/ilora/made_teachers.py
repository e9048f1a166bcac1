"""Small teachers: a random Qwen3 or the tiny base, the eyes of a small SASRec, experts far from zero."""

import numpy as np
import torch
from transformers import AutoModelForCausalLM, Qwen3Config, Qwen3ForCausalLM

from kitrec.ilora.params import MLP, Course, Curriculum, Dense, Ilora, Mixture, Noisy, TopK
from kitrec.ilora.params import Choice as ChoiceParams
from kitrec.ilora.sequence_encoder import Eyes
from kitrec.ilora.teacher import Teacher
from kitrec.recommenders import params as idrec
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.recommenders.models.registry import build_sequence_model
from kitrec.recommenders.storage import StoredModel

WORDS, WIDTH = 97, 32
GATES = {
    "dense": Dense(kind="dense"),
    "top_k": TopK(kind="top_k", kept=2),
    "mlp": MLP(kind="mlp", hidden=8),
    "noisy": Noisy(kind="noisy", kept=3),
}


def a_mixture(**changed) -> Mixture:
    own = {"experts": 4, "rank": 8, "alpha": 16.0, "dropout": 0.0, "gate": GATES["dense"]}
    return Mixture(**(own | changed))


def a_base(seed: int = 0) -> Qwen3ForCausalLM:
    """A random model in float32."""
    torch.manual_seed(seed)
    config = Qwen3Config(
        vocab_size=WORDS,
        hidden_size=WIDTH,
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


def stored_eyes(item_ids: list[str], seed: int = 0) -> StoredModel:
    p = idrec.SASRec(kind="sasrec", hidden=16, heads=2, layers=1, length=12, dropout=0.0)
    torch.manual_seed(seed)
    model = build_sequence_model(p, len(item_ids))
    with torch.no_grad():
        for own in model.parameters():
            own.normal_(0.0, 0.5)
        model.items.weight[0].zero_()
    return StoredModel(model.eval(), Vocabulary(item_ids), np.ones(len(item_ids) + 1, np.float32), {})


def some_eyes(count: int = 20) -> Eyes:
    return Eyes(stored_eyes([f"I{k:02}" for k in range(count)]))


def a_teacher(base=None, eyes: Eyes | None = None, seed: int = 0, **changed) -> Teacher:
    """Its experts have something to say, and its gate opens differently for different readers."""
    torch.manual_seed(seed)
    teacher = Teacher(base or a_base(), eyes or some_eyes(), a_mixture(**changed))
    with torch.no_grad():
        for own in teacher.learned.experts.values():
            own.outer.normal_(0.0, 0.05)
    teacher.train(False)
    return teacher


def a_course(**changed) -> Course:
    own = {"epochs": 2, "batch": 4, "accumulation": 2, "learning_rate": 1e-3, "gate_rate": 0.3, "weight_decay": 0.0}
    own |= {"warmup": 0.1, "max_grad_norm": 1.0, "judge_every": 2, "patience": 9, "gradient_checkpointing": False}
    own |= {"curriculum": Curriculum(text_until=0.0, hybrid_from=0.5)}
    return Course(**(own | changed))


def a_choice(**changed) -> ChoiceParams:
    return ChoiceParams(**({"history": 10, "answer": "title", "hybrid": True, "max_length": 2048} | changed))


def ilora_params(**changed) -> Ilora:
    own = {"base_weights": "f32", "mixture": a_mixture(dropout=0.1), "choice": a_choice(), "course": a_course()}
    return Ilora(**(own | {"per_token": False} | changed))
