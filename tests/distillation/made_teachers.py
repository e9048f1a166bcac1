"""Small teachers and student settings."""

import polars as pl

from kitrec.distillation import params
from kitrec.distillation.alignment import KeyedSequences, full_sequences
from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.recommenders.params import Loss, SequenceMethod
from kitrec.schemas.teacher_lists import TEACHER_LISTS
from tests.recommenders.made_models import ITEMS, made_sequences, made_training_config, model_params

VOCABULARY = Vocabulary(f"i{number:02d}" for number in range(1, ITEMS + 1))
BCE = Loss(kind="bce", negatives=1, calibration=0.0)
IMPORTANCE = params.Importance(position=0.3, confidence=0.5, consistency=0.1, decay=1.0)


def with_keys(sequences: Sequences, target: str = "") -> KeyedSequences:
    """Return sequences of users u0, u1, ..."""
    users = [f"u{number}" for number in range(len(sequences))]
    return full_sequences(sequences, pl.DataFrame({"user_id": users, "target": [target] * len(users)}))


def made_rows(users: int = 12, seed: int = 0, longest: int = 8) -> KeyedSequences:
    return with_keys(made_sequences(users, seed, longest))


def made_lists(rows: KeyedSequences, best_items, distances=None) -> pl.DataFrame:
    """Return a list of every row: `best_items(user's items, prefix length)` gives item numbers, best first."""
    lists = []
    for user in range(len(rows.sequences)):
        items = rows.sequences[user]
        for length in range(1, len(items)):
            numbers = best_items(items, length)
            lists.append(
                {
                    "user_id": f"u{user}",
                    "target": "",
                    "prefix_length": length,
                    "next_id": VOCABULARY.item_ids[items[length] - 1],
                    "item_ids": [VOCABULARY.item_ids[item - 1] for item in numbers],
                    "distances": list(distances or [0.5 * rank for rank in range(len(numbers))]),
                }
            )
    return pl.DataFrame(lists, schema=dict(TEACHER_LISTS.columns))


def successors(items, prefix_length) -> list[int]:
    """Return three different items that follow the last one of the prefix."""
    return [(items[prefix_length - 1] + step - 1) % ITEMS + 1 for step in (1, 2, 3)]


def made_config(kind: str = "sasrec", **changed) -> params.StudentConfig:
    model = changed.pop("model", {})
    training = made_training_config(**({"epochs": 2, "batch_size": 4} | changed.pop("training", {})))
    student = SequenceMethod(
        history="target", model=model_params(kind, **model), loss=changed.pop("loss", BCE), training=training
    )
    defaults = {
        "student": student,
        "ranking": params.Ranking(weight=0.7, topk=3, importance=IMPORTANCE),
        "embedding": params.Embedding(form="off", weight=0.0),
        "dros": params.DROS(alpha=0.0, beta=1.0, power=0.05),
        "selection": params.Selection(policy="all", fraction=1.0),
        "missing": "mask",
        "depth": 20,
    }
    return params.StudentConfig(**(defaults | changed))
