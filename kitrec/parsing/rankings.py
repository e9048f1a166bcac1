"""Rankings of answers and likelihoods, and statistics of the answers behind them."""

import polars as pl

from kitrec.core import tables
from kitrec.parsing.parser import STATUSES, parse
from kitrec.schemas.rankings import RANKINGS, from_scores


def rank_answers(answers: pl.DataFrame, records: pl.DataFrame, *, answer_items: int) -> pl.DataFrame:
    """Return the ranking that every answer states, as kind `written`; the prompt asked for `answer_items`."""
    joined = answers.join(records.select("record_id", "candidate_ids", "candidate_hash"), on="record_id", how="left")
    rows = []
    for answer in joined.iter_rows(named=True):
        parsed = parse(answer["text"], answer["candidate_ids"])
        rows.append(
            {
                "method": answer["method"],
                "record_id": answer["record_id"],
                "kind": "written",
                "item_ids": parsed.item_ids,
                "scores": None,
                "status": parsed.status,
                "invalid_ids": parsed.invalid_ids,
                "confidence": parsed.confidence,
                "rationale": parsed.rationale,
                "thinking_characters": parsed.thinking_characters,
                "candidate_hash": answer["candidate_hash"],
                "answer_items": answer_items,
            }
        )
    return tables.from_rows(rows, RANKINGS)


def rank_likelihoods(likelihoods: pl.DataFrame, records: pl.DataFrame) -> pl.DataFrame:
    """Return all candidates by likelihood, as kind `scored`; records that could not be scored get an empty ranking."""
    joined = records.join(likelihoods, on="record_id", how="left", validate="1:1", maintain_order="left")
    scorable = joined.filter(pl.col("loglik").is_not_null())
    scored = from_scores(joined["method"][0], scorable, scorable["loglik"].to_list())
    unscored = joined.filter(pl.col("loglik").is_null()).with_columns(item_ids=pl.lit([], dtype=pl.List(pl.String)))
    empty = from_scores(joined["method"][0], unscored.with_columns(candidate_ids="item_ids"), [[]] * unscored.height)
    return pl.concat([scored, empty.with_columns(status=pl.lit("no_answer"))])


def answer_statistics(rankings: pl.DataFrame, answers: pl.DataFrame, *, answer_items: int) -> dict[str, object]:
    """Return shares of every status, of invented ids, of answers cut at the token limit and of shortened prompts; the
    items that answers name, and the number that the prompt asks for."""
    n = rankings.height
    invented = (rankings["invalid_ids"].list.len() > 0).sum()
    reasons = dict(answers["finish_reason"].value_counts().iter_rows())
    statuses = dict(rankings["status"].value_counts().iter_rows())
    return {
        "n": n,
        "status": {status: round(statuses.get(status, 0) / n, 4) for status in STATUSES},
        "invented_id_share": round(invented / n, 4),
        "cut_share": round(reasons.get("length", 0) / n, 4),
        "thought_cut_share": round(reasons.get("thought_cut", 0) / n, 4),
        "errors": dict(sorted(answers["error"].drop_nulls().value_counts().iter_rows())),
        "shortened_prompt_share": round((answers["shortened"].list.len() > 0).sum() / n, 4),
        "prompt_contents": prompt_contents(answers),
        "items_named": round(rankings["item_ids"].list.len().sum() / n, 3),
        "answer_items": answer_items,
    }


def prompt_contents(answers: pl.DataFrame) -> dict[str, float]:
    """Return the average contents of prompts: methods shown different contents are compared on unequal terms."""
    shown = answers.select("source_items", "target_items", pl.col("notes").list.len(), "prompt_tokens").mean()
    return {name: round(value, 2) for name, value in shown.row(0, named=True).items()}
