"""Small models of every kind, and sequences to put in."""

import numpy as np
import torch
from torch import nn

from kitrec.recommenders import params
from kitrec.recommenders.data.item_metadata import Known
from kitrec.recommenders.data.sequences import Sequences, of_lists
from kitrec.recommenders.models.registry import build_sequence_model

ITEMS = 30
NO_METADATA = params.Metadata(features=[], fusion="gate", dropout=0.0)
KINDS = ["sasrec", "bert4rec", "gru4rec", "caser"]


def model_params(kind: str, **changed) -> params.Model:
    shape = {"hidden": 16, "heads": 2, "layers": 2, "length": 12, "dropout": 0.0}
    alone = {"hidden": 16, "length": 12, "dropout": 0.0}
    match kind:
        case "sasrec":
            return params.SASRec(kind="sasrec", **(shape | changed))
        case "gru4rec":
            return params.GRU4Rec(kind="gru4rec", **(alone | {"layers": 1} | changed))
        case "caser":
            own = {"length": 5, "ahead": 2, "horizontal": 4, "vertical": 2}
            return params.Caser(kind="caser", **(alone | own | changed))
        case _:
            masking = params.Masking(random=0.3, last=0.3)
            own = {"masking": masking, "share_embeddings": True, "metadata": NO_METADATA}
            return params.BERT4Rec(kind="bert4rec", **(shape | own | changed))


def a_model(kind: str, items: int = ITEMS, seed: int = 0, known: Known | None = None, **changed) -> nn.Module:
    """Weights far from zero, so that nothing is equal by being nothing."""
    torch.manual_seed(seed)
    model = build_sequence_model(model_params(kind, **changed), items, known)
    with torch.no_grad():
        for name, own in model.named_parameters():
            own.normal_(1.0 if name.endswith("norm.weight") or ("norms" in name and "weight" in name) else 0.0, 0.3)
        model.items.weight[0].zero_()
    return model.eval()


def some_sequences(users: int, seed: int = 0, longest: int = 12, items: int = ITEMS) -> Sequences:
    rng = np.random.default_rng(seed)
    return of_lists(rng.integers(1, items + 1, size=rng.integers(1, longest + 1)) for _ in range(users))


def a_course(**changed) -> params.Course:
    own = {"mode": "standard", "epochs": 5, "batch": 32, "learning_rate": 1e-2, "weight_decay": 0.0, "warmup": 0.0}
    own |= {"schedule": "constant", "patience": 50, "validate_every": 1, "precision": "32"}
    return params.Course(**(own | changed))


CE = params.Loss(kind="ce", negatives=0, calibration=0.0)
