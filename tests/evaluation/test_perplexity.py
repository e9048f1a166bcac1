import math

import polars as pl
import pytest

from kitrec.evaluation.bootstrap import Resampling
from kitrec.evaluation.perplexity import perplexities

USERS = ["U0", "U1", "U2"]
DRAWN = Resampling(200, seed=1)


def table(rows: list[tuple[int | None, float | None, float | None]]) -> pl.DataFrame:
    schema = {"tokens": pl.Int32, "loglik_writer": pl.Float64, "loglik_base": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row").with_columns(user_id=pl.Series(USERS[: len(rows)]))


def test_perplexity_weights_rationales_by_tokens():
    """1 token at 1/2 and 3 tokens at 1/8 each: exp((ln 2 + 3 ln 8) / 4) = 2 ** (10 / 4), not the mean of 2 and 8."""
    result = perplexities(
        table([(1, -math.log(2), -math.log(4)), (3, -3 * math.log(8), -3 * math.log(4)), (None,) * 3]), resampling=DRAWN
    )
    assert result["n"] == 2 and result["coverage"] == pytest.approx(2 / 3, abs=1e-4) and result["tokens"] == 4
    assert result["writer"] == pytest.approx(2**2.5, abs=1e-3) and result["base"] == 4.0


def test_without_rationales_there_is_no_perplexity():
    assert perplexities(table([(None, None, None)]), resampling=DRAWN) == {
        "n": 0,
        "coverage": 0.0,
        "tokens": 0,
        **dict.fromkeys(("writer", "writer_low", "writer_high", "base", "base_low", "base_high")),
    }
