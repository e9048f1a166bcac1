"""Warnings of answers that end by a limit of length: what they would have said is not in their rankings."""

import polars as pl

LIMIT = 0.01  # share of a method's answers above which it is told
_OPEN_THOUGHT = pl.col("text").str.contains("<think>", literal=True) & ~pl.col("text").str.contains(
    "</think>", literal=True
)


def length_warnings(answers: pl.DataFrame, max_new_tokens: int, thought_tokens: int | None) -> list[str]:
    """Return a warning, with the way out, for each limit that ends more answers than a hundredth.

    `thought_tokens`: where thoughts are closed, the number of tokens after which they are."""
    cut, n = answers.filter(pl.col("finish_reason") == "length"), max(answers.height, 1)
    closed = answers.filter(pl.col("finish_reason") == "thought_cut")
    warnings = []
    if cut.height > LIMIT * n:
        in_thought = cut.filter(_OPEN_THOUGHT.fill_null(False)).height
        key = "thought_tokens" if 2 * in_thought > cut.height else "item_tokens"
        warnings.append(
            f"{cut.height / n:.1%} of the answers end at the limit of {max_new_tokens} tokens ({in_thought} of "
            f"{cut.height} within the thought), so what they name is cut: raise infer.budgets.{key}"
        )
    if closed.height > LIMIT * n:
        warnings.append(
            f"{closed.height / n:.1%} of the thoughts are closed after {thought_tokens} tokens, so these answers "
            "follow from a part of them: raise infer.budgets.thought_tokens"
        )
    return warnings
