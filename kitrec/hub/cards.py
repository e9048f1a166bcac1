"""Cards of published data sets and models. They contain counts, names and settings; never a text from the data."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from kitrec.core.domains import KITREC, Domains

_DATA = """---
license: {licence}
task_categories: [text-generation]
tags: [recommendation, cross-domain, kitrec]
configs:
- config_name: default
  data_files:
  - split: {split}
    path: {split}.jsonl
---

# {name}

{rows:,} rows of candidate set {which}: a user's {source_domain} history, {candidates} candidates of a target domain,
and the item the user interacted with next{with_outputs}.

| user type | rows |
|---|---:|
{types}

## Fields

| field | holds |
|---|---|
| `instruction`, `input` | the prompt (in `instruction` for training, in `input` for evaluation) |
| `output` | a thought and a fenced JSON answer, or empty |
| `ground_truth` | JSON: `item_id`, `title`, `rating` of the held-out item (evaluation rows) |
| `metadata` | `user_id` (salted), `user_type`, `user_category`, `target_domain`, `source_domain`, `target_core`, \
`{core}`, `candidate_set`, `gt_item_id` |

## Provenance

Made by kitrec's stage `prepare` from the source `{source}`, seed {seed}. Every user's last target
interaction is held out; the history shows nothing from that time or later. {negatives}
The order of candidates is shuffled per row.

## Licence

{terms}
"""
_NEGATIVES = {
    "A": "Negatives: {same_category} from the held-out item's categories, {neighbours} neighbours of the history (from "
    "training users only), {popularity_matched} of similar popularity, the rest random.",
    "B": "Negatives are drawn at random from items the user never interacted with.",
}
_TERMS = {
    "synthetic": ("mit", "Synthetic, generated from a seed; no real user or item is behind it."),
    "amazon": (
        "other",
        "Titles and categories come from Amazon Reviews 2023 (Hou et al. 2024), for research; without review texts.",
    ),
}
_SOURCE_TERMS = ("other", "The terms of the source data sets apply.")

_MODEL = """---
base_model: {base}
library_name: peft
tags: [recommendation, cross-domain, kitrec, lora]
---

# {name}

A LoRA adapter ({variant}) of `{base}`{revision} that recommends {target} to users with a {source_domain} history; \
trained on candidate set {which} for {users}.

| setting | value |
|---|---|
{settings}

## Training curve

| step | evaluation loss |
|---:|---:|
{curve}

## Results

Means over all test users of the experiment, of all models (`kitrec show`).

| method | {columns} |
|---|{rules}|
{results}
"""


def data_card(
    name: str, which: str, split: str, records: pl.DataFrame, params: Mapping[str, Any], domains: Domains = KITREC
) -> str:
    """Return the card of a data set; `params` is all of params.yaml."""
    source = params["source"]["kind"]
    licence, terms = _TERMS.get(source, _SOURCE_TERMS)
    return _DATA.format(
        licence=licence,
        terms=terms,
        split=split,
        name=name,
        which=which,
        rows=records.height,
        candidates=records["candidate_ids"].list.len().max(),
        with_outputs=", with a teacher's output" if records["output"].null_count() < records.height else "",
        types=_table(sorted(records["user_type"].value_counts().iter_rows())),
        source=source,
        source_domain=domains.label,
        core=f"{domains.source}_core",
        seed=params["seed"],
        negatives="Negatives are those of the source."
        if source in ("kitrec", "hub")
        else _NEGATIVES[which].format(**params["candidates"]),
    )


def model_card(
    name: str,
    which: str,
    kind: str,
    variant: str,
    base: Mapping[str, Any],
    training: Mapping[str, Any],
    domains: Domains = KITREC,
) -> str:
    """Return the card of an adapter; `training` holds its settings, curve and the results of its experiment."""
    family, target = kind.split("_")
    results: Mapping[str, Mapping[str, Any]] = training["results"]
    columns = list(next(iter(results.values()), {}))
    return _MODEL.format(
        base=base["path"],
        revision=f" at `{base['revision']}`" if base["revision"] else "",
        name=name,
        variant=variant,
        target=domains.labels[target],
        source_domain=domains.label,
        which=which,
        users={"dualft": "users with two or more target interactions", "singleft": "1-core users"}[family],
        settings=_table(training["settings"].items()),
        curve=_table(training["curve"]),
        columns=" | ".join(columns),
        rules="|".join(["---:"] * len(columns)),
        results=_table((method, *row.values()) for method, row in results.items()),
    )


def _table(rows: Any) -> str:
    return "\n".join(f"| {' | '.join(map(_cell, row))} |" for row in rows)


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
