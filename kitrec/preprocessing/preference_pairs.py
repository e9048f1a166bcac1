"""Preference pairs: the ground truth against a hard negative, for DPO and related methods (Rafailov et al. 2023).

Both outputs have the form that the adapters learned. Where a template wrote the training outputs, it writes the pairs;
where they came with the data, a record's own output is chosen, and rejected is the same output with the negative in the
place of the ground truth. A record without an output of its own gives no pair then."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import polars as pl

from kitrec.core.randomness import generator
from kitrec.prompts.shown_items import UNKNOWN
from kitrec.prompts.thought_marks import END_THINK
from kitrec.schemas.preferences import PREFERENCES

HARDEST_FIRST = ("neighbour", "same_category", "popularity_matched", "random", "given")  # given: in KitREC's files
Explain = Callable[[Mapping[str, Any]], str]
PairOutputs = Callable[[Mapping[str, Any], str], tuple[str, str] | None]  # record, rejected item -> chosen, rejected
_TITLE = re.compile(r'"title"\s*:\s*("(?:[^"\\]|\\.)*")')


def preference_pairs(seed: int, records: pl.DataFrame, pair_outputs: PairOutputs) -> pl.DataFrame:
    """Pair the ground truth of every record with a negative of the hardest origin in its list, drawn per record.

    `pair_outputs` returns the output for the ground truth and the one for the negative; None: no pair."""
    rows = []
    for record in records.iter_rows(named=True):
        rng = generator(seed, "preferences", record["record_id"])
        negatives = [
            (item, origin)
            for item, origin in zip(record["candidate_ids"], record["candidate_origins"], strict=True)
            if item != record["gt_item_id"]
        ]
        shuffled = [negatives[k] for k in rng.permutation(len(negatives))]
        hardest = min(shuffled, key=lambda pair: HARDEST_FIRST.index(pair[1]))
        if outputs := pair_outputs(record, hardest[0]):
            keys = (record["record_id"], record["user_id"], record["target"], record["gt_item_id"])
            rows.append((*keys, *hardest, *outputs))
    return pl.DataFrame(rows, schema=dict(PREFERENCES.columns), orient="row")


def explained_pair(explain: Explain) -> PairOutputs:
    """Return the pairs of the teacher that wrote the training outputs: for the negative, as if that were held out."""
    return lambda record, rejected: (explain(record), explain({**record, "gt_item_id": rejected}))


def own_output_pair(record: Mapping[str, Any], rejected: str) -> tuple[str, str] | None:
    """Return a record's own output, and the same with another candidate in its item's place; None without an output, or
    if the output does not name the ground truth."""
    output, chosen = record["output"], record["gt_item_id"]
    if not output or chosen not in output.rpartition(END_THINK)[2]:
        return None
    titles = {text["item_id"]: text["title"] for text in record["candidate_texts"] or []}
    return output, with_other_item(output, chosen, titles.get(chosen), rejected, titles.get(rejected) or UNKNOWN)


def with_other_item(output: str, item: str, title: str | None, other: str, other_title: str) -> str:
    """Return an output with another item in an item's place, by id and title, in the thought and in the answer.

    The title is the listed one or the one that the answer states. Only whole words are replaced; a title of a single
    letter or digit could be any word, so it stays."""
    thought, end_think, answer = output.rpartition(END_THINK)
    stated = [json.loads(match[1], strict=False) for match in _TITLE.finditer(answer)]
    titles = [name for name in (title, *stated) if name and sum(letter.isalnum() for letter in name) > 1]
    in_thought = {item: other} | dict.fromkeys(titles, other_title)
    in_answer = {item: other} | {
        _escaped(name, ascii_only): _escaped(other_title, ascii_only) for name in titles for ascii_only in (True, False)
    }
    return _replaced(thought, in_thought) + end_think + _replaced(answer, in_answer)


def _escaped(text: str, ascii_only: bool) -> str:
    """Return a text as it stands between the quotes of a JSON string."""
    return json.dumps(text, ensure_ascii=ascii_only)[1:-1]


def _replaced(text: str, words: Mapping[str, str]) -> str:
    longest_first = sorted(words, key=len, reverse=True)
    pattern = "|".join(rf"(?<!\w){re.escape(word)}(?!\w)" for word in longest_first)
    return re.sub(pattern, lambda match: words[match[0]], text)
