"""Small sequence models of every kind, sequences and training configs."""

import numpy as np
import torch
from torch import nn

from kitrec.recommenders.data.item_features import ItemFeatures
from kitrec.recommenders.data.sequences import Sequences, sequences_from_lists
from kitrec.recommenders.models import params
from kitrec.recommenders.models.registry import build_sequence_model
from kitrec.recommenders.params import Loss, TrainingConfig

ITEMS = 30
NO_METADATA = params.Metadata(features=[], fusion="gate", dropout=0.0)
KINDS = ["sasrec", "bert4rec", "gru4rec", "caser"]


def model_params(kind: str, **changed) -> params.SequenceModel:
    without_heads = {"hidden_size": 16, "max_length": 12, "dropout": 0.0}
    transformer = {**without_heads, "heads": 2, "layers": 2}
    match kind:
        case "sasrec":
            return params.SASRec(kind="sasrec", **(transformer | changed))
        case "gru4rec":
            return params.GRU4Rec(kind="gru4rec", **(without_heads | {"layers": 1} | changed))
        case "caser":
            windows = {"max_length": 5, "num_targets": 2, "horizontal": 4, "vertical": 2}
            return params.Caser(kind="caser", **(without_heads | windows | changed))
        case _:
            masking = params.Masking(random=0.3, last=0.3)
            inputs = {"masking": masking, "share_embeddings": True, "metadata": NO_METADATA}
            return params.BERT4Rec(kind="bert4rec", **(transformer | inputs | changed))


def made_model(
    kind: str, items: int = ITEMS, seed: int = 0, features: ItemFeatures | None = None, **changed
) -> nn.Module:
    """Create a model with weights far from zero, so that no two outputs are equal because both are zero."""
    torch.manual_seed(seed)
    model = build_sequence_model(model_params(kind, **changed), items, features)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.normal_(
                1.0 if name.endswith("norm.weight") or ("norms" in name and "weight" in name) else 0.0, 0.3
            )
        model.items.weight[0].zero_()
    return model.eval()


def made_sequences(users: int, seed: int = 0, longest: int = 12, items: int = ITEMS) -> Sequences:
    rng = np.random.default_rng(seed)
    return sequences_from_lists(rng.integers(1, items + 1, size=rng.integers(1, longest + 1)) for _ in range(users))


def made_training_config(**changed) -> TrainingConfig:
    config = {"mode": "standard", "epochs": 5, "batch_size": 32, "learning_rate": 1e-2, "weight_decay": 0.0}
    config |= {"warmup_ratio": 0.0, "schedule": "constant", "patience": 50, "validate_every": 1, "precision": "32"}
    config |= {"metric": "ndcg@10"}
    return TrainingConfig(**(config | changed))


CE = Loss(kind="ce", negatives=0, calibration=0.0)
