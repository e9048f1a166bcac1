"""Verdicts of the LLM judge: ratings of a method's rationale, and preferences between two methods' rationales."""

import polars as pl

from kitrec.core.tables import Table

RATINGS = ("logic", "specificity", "cross_domain_link", "preference", "overall")
WINNERS = ("method", "other", "tie")

VERDICTS = Table(
    "verdicts",
    {
        "method": pl.String,
        "record_id": pl.String,
        "user_id": pl.String,
        "user_type": pl.String,
        "repeat": pl.Int32,
        **dict.fromkeys(RATINGS, pl.Int32),
        "failure": pl.String,  # of the last attempt, if no reply was well-formed
        "attempts": pl.Int32,
        "reply": pl.String,  # file name of the stored reply
    },
    key=("method", "record_id", "repeat"),
    nullable=frozenset({*RATINGS, "failure"}),
    rules={f"{name} is from 1 to 10": pl.col(name).is_between(1, 10) for name in RATINGS}
    | {"a verdict has ratings or a failure": pl.col("overall").is_null() == pl.col("failure").is_not_null()},
)

PAIR_VERDICTS = Table(
    "pair_verdicts",
    {
        "method": pl.String,
        "other": pl.String,
        "record_id": pl.String,
        "user_id": pl.String,
        "user_type": pl.String,
        "repeat": pl.Int32,
        "swapped": pl.Boolean,  # whether the other's rationale was shown first
        "winner": pl.String,  # of WINNERS
        "failure": pl.String,
        "attempts": pl.Int32,
        "reply": pl.String,
    },
    key=("method", "other", "record_id", "repeat", "swapped"),
    nullable=frozenset({"winner", "failure"}),
    rules={
        "a winner is method, other or tie": pl.col("winner").is_in(list(WINNERS)),
        "a verdict has a winner or a failure": pl.col("winner").is_null() == pl.col("failure").is_not_null(),
    },
)
