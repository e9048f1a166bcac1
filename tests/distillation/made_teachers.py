"""Small teachers and students of the distillation."""

import polars as pl

from kitrec.distillation import params
from kitrec.distillation.alignment import Rows, whole
from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.recommenders.params import Loss, SequenceMethod
from kitrec.schemas.teacher_lists import TEACHER
from tests.recommenders.made_models import ITEMS, made_sequences, made_training_config, model_params

VOCABULARY = Vocabulary(f"i{number:02d}" for number in range(1, ITEMS + 1))
BCE = Loss(kind="bce", negatives=1, calibration=0.0)
IMPORTANCE = params.Importance(position=0.3, confidence=0.5, consistency=0.1, decay=1.0)


def named(sequences: Sequences, target: str = "") -> Rows:
    """Sequences of readers u0, u1, ..."""
    users = [f"u{number}" for number in range(len(sequences))]
    return whole(sequences, pl.DataFrame({"user_id": users, "target": [target] * len(users)}))


def some_rows(users: int = 12, seed: int = 0, longest: int = 8) -> Rows:
    return named(made_sequences(users, seed, longest))


def lists_of(rows: Rows, listed, distances=None) -> pl.DataFrame:
    """A teacher of every row: `listed(reader's items, seen)` gives item numbers, best first."""
    found = []
    for user in range(len(rows.sequences)):
        items = rows.sequences[user]
        for seen in range(1, len(items)):
            own = listed(items, seen)
            found.append(
                {
                    "user_id": f"u{user}",
                    "target": "",
                    "seen": seen,
                    "next_id": VOCABULARY.item_ids[items[seen] - 1],
                    "item_ids": [VOCABULARY.item_ids[item - 1] for item in own],
                    "distances": list(distances or [0.5 * rank for rank in range(len(own))]),
                }
            )
    return pl.DataFrame(found, schema=dict(TEACHER.columns))


def neighbours(items, seen) -> list[int]:
    """Three different items that follow from the last one."""
    return [(items[seen - 1] + step - 1) % ITEMS + 1 for step in (1, 2, 3)]


def distill_params(kind: str = "sasrec", **changed) -> params.Distill:
    model = changed.pop("model", {})
    course = made_training_config(**({"epochs": 2, "batch_size": 4} | changed.pop("course", {})))
    student = SequenceMethod(
        history="target", model=model_params(kind, **model), loss=changed.pop("loss", BCE), training=course
    )
    own = {
        "student": student,
        "ranking": params.Ranking(weight=0.7, topk=3, importance=IMPORTANCE),
        "embedding": params.Embedding(form="off", weight=0.0),
        "robust": params.Robust(alpha=0.0, beta=1.0, power=0.05),
        "selection": params.Selection(policy="all", fraction=1.0),
        "gaps": "mask",
        "depth": 20,
    }
    return params.Distill(**(own | changed))
