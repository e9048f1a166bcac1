"""What the thoughts of a method name, held against the readers' favourite themes, which only the world knows."""

import re

import polars as pl

from kitrec.core import files, tables
from kitrec.core.domains import LABELS
from kitrec.schemas.answers import ANSWERS
from kitrec.schemas.records import RECORDS
from kitrec.synthetic.histories import USER_TRUTH
from stages.lib import paths


def named_themes(method: str, which: str) -> tuple[int, int]:
    """(named, liked): words in the target's line of all thoughts, and how many are favourites in the target's words."""
    answers = tables.read(paths.of_set(paths.answers(method), which), ANSWERS).select("record_id", "text")
    records = tables.read(paths.set_records(which, "test"), RECORDS)
    truth = tables.read(paths.WORLD / "user_truth.parquet", USER_TRUTH)
    words = files.read_json(paths.WORLD / "themes.json")
    named = liked = 0
    joined = records.join(answers, on="record_id").join(truth, on="user_id")
    for target, text, favourites in joined.select("target", pl.col("text").fill_null(""), "favourites").iter_rows():
        said = target_words(text, target)
        named += len(said)
        liked += sum(word in {words[target][k] for k in favourites} for word in said)
    return named, liked


def target_words(text: str, target: str) -> list[str]:
    """The different words of the thought's line about the target."""
    line = re.search(rf"^{re.escape(LABELS[target])} themes: ([^\n]*?)(?: ->|$)", text, re.MULTILINE)
    return list(dict.fromkeys(line.group(1).split(", "))) if line else []
