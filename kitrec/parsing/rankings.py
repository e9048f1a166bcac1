"""The rankings table of an answers table, and how often which failure occurred."""

import polars as pl

from kitrec.core import tables
from kitrec.parsing.parser import STATUSES, parse
from kitrec.schemas.rankings import RANKINGS, from_scores


def rank_answers(answers: pl.DataFrame, records: pl.DataFrame) -> pl.DataFrame:
    """What every answer wrote down, as kind `written`."""
    joined = answers.join(records.select("record_id", "candidate_ids", "candidate_hash"), on="record_id", how="left")
    rows = []
    for answer in joined.iter_rows(named=True):
        said = parse(answer["text"], answer["candidate_ids"])
        rows.append(
            {
                "method": answer["method"],
                "record_id": answer["record_id"],
                "kind": "written",
                "item_ids": said.item_ids,
                "scores": None,
                "status": said.status,
                "invalid_ids": said.invalid_ids,
                "confidence": said.confidence,
                "rationale": said.rationale,
                "thinking_characters": said.thinking_characters,
                "candidate_hash": answer["candidate_hash"],
            }
        )
    return tables.from_rows(rows, RANKINGS)


def rank_likelihoods(likelihoods: pl.DataFrame, records: pl.DataFrame) -> pl.DataFrame:
    """Every candidate, the likeliest first, as kind `scored`; an empty ranking where no model could be asked."""
    joined = records.join(likelihoods, on="record_id", how="left", validate="1:1", maintain_order="left")
    asked = joined.filter(pl.col("loglik").is_not_null())
    scored = from_scores(joined["method"][0], asked, asked["loglik"].to_list())
    unasked = joined.filter(pl.col("loglik").is_null()).with_columns(item_ids=pl.lit([], dtype=pl.List(pl.String)))
    empty = from_scores(joined["method"][0], unasked.with_columns(candidate_ids="item_ids"), [[]] * unasked.height)
    return pl.concat([scored, empty.with_columns(status=pl.lit("no_answer"))])


def outcomes(rankings: pl.DataFrame, answers: pl.DataFrame) -> dict[str, object]:
    """Shares of every status, of invented ids, of answers cut at the token limit, of prompts shortened to fit."""
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
        "sees": sees(answers),
        "items_named": round(rankings["item_ids"].list.len().sum() / n, 3),
    }


def sees(answers: pl.DataFrame) -> dict[str, float]:
    """What prompts show on average: methods that see more than others are compared on unequal terms."""
    shown = answers.select("source_items", "target_items", pl.col("notes").list.len(), "prompt_tokens").mean()
    return {name: round(value, 2) for name, value in shown.row(0, named=True).items()}
