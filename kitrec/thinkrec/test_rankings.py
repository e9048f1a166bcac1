"""A trained ThinkRec before the pipeline's own records: rankings, how well likes are told, and who answered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from kitrec.core import files
from kitrec.llm.base.loading import BaseWeights, load_base
from kitrec.llm.base.pinning import PinnedBase
from kitrec.prompts.tokens import Encoder
from kitrec.recommenders.data.user_histories import histories, readers
from kitrec.thinkrec.auc import Judged, judged
from kitrec.thinkrec.collaborative_vectors import Seeing
from kitrec.thinkrec.conversion import histories_of, reader_names
from kitrec.thinkrec.groups import Grouped, grouped
from kitrec.thinkrec.params import ByEngine, ByTransformers, Objective, Prompt, RoutingRule
from kitrec.thinkrec.prompt_composer import Composer
from kitrec.thinkrec.routing import Routing, route
from kitrec.thinkrec.storage import Trained, load_trained
from kitrec.thinkrec.vector_shards import Vectors, read_shards
from kitrec.thinkrec.vllm_scoring import Served, load_served
from kitrec.thinkrec.yes_no_ranking import rank


@dataclass(frozen=True)
class Known:
    """What the asked users met, vectors of them and of items; in which group users of the training were."""

    histories: Mapping[str, Sequence[str]]
    users: Vectors
    items: Vectors
    groups: Grouped | None


def load_answering(
    how: ByTransformers | ByEngine,
    base: PinnedBase,
    weights: BaseWeights,
    tokenizer: Any,
    folder: Path,
    stage: str,
    seed: int,
) -> Trained | Served:
    """What a stage left, on whatever is to answer."""
    if how.kind == "vllm":
        return load_served(base, tokenizer, how.engine, folder, stage, seed)
    return load_trained(load_base(base, weights), tokenizer, base, folder, stage)


def known_of(
    eyes: Seeing, asked: pl.DataFrame, seen: pl.DataFrame, records: Path, group_of: Mapping[str, int]
) -> Known:
    """What the readers of the `asked` records met, and what the model whose vectors are in `records` sees in it."""
    who, history = readers(seen), files.read_json(records / "origin.json")["history"]
    users, items = eyes.of(reader_names(who), histories(seen, who, history, eyes.vocabulary))
    groups = grouped(group_of, read_shards([records / "users.safetensors"])) if group_of else None
    return Known(histories_of(asked, seen), users, items, groups)


@dataclass(frozen=True)
class Answering:
    """What answers: what a stage left, its prompts, and the rule of who answers for whom."""

    trained: Trained | Served
    prompt: Prompt
    objective: Objective
    rule: RoutingRule
    encoder: Encoder
    known: Known

    def rank(self, method: str, titles: Mapping[str, str], records: pl.DataFrame) -> pl.DataFrame:
        """The rankings table."""
        weights = self.routing(records).weights if self.trained.groups else None
        asker = self.trained.asker(self._composer(), self.objective)
        return rank(method, records, self.known.histories, titles, asker, weights)

    def routing(self, records: pl.DataFrame) -> Routing:
        """Who answers for each record."""
        return self._route(reader_names(records))

    def _composer(self) -> Composer:
        if self.trained.projector is None:
            return Composer(self.prompt.text, self.encoder, self.prompt.history, None, None)
        return Composer(self.prompt.vectors, self.encoder, self.prompt.history, self.known.users, self.known.items)

    def _route(self, users: list[str]) -> Routing:
        if self.known.groups is None:
            return Routing(np.ones((len(users), 1)), ["general"] * len(users), np.zeros((len(users), 0)))
        return route(users, self.known.users, self.known.groups, self.rule)

    def missing(self, records: pl.DataFrame) -> dict[str, int]:
        """What had to be said in words instead of a vector; nothing, where the prompt shows none."""
        if self.trained.projector is None:
            return {}
        users, items = set(self.known.users.ids), set(self.known.items.ids)
        return {
            "users_without_vector": sum(user not in users for user in reader_names(records)),
            "candidates_without_vector": sum(item not in items for item in records["candidate_ids"].explode()),
        }


def liking(ranked: pl.DataFrame, records: pl.DataFrame, resamples: int, seed: int) -> Judged:
    """AUC and UAUC of the truth against the record's other candidates, and of the same with resampled readers.

    Who reads towards two targets is two readers, as in training."""
    truths = records.select("record_id", "gt_item_id", reader=pl.Series(reader_names(records), dtype=pl.String))
    rows = ranked.join(truths, on="record_id", maintain_order="left")
    each = rows.select("reader", "gt_item_id", "item_ids", "scores").explode("item_ids", "scores")
    labels = (each["item_ids"] == each["gt_item_id"]).cast(pl.Int8).to_numpy()
    return judged(labels, each["scores"].to_numpy(), each["reader"].to_list(), resamples, seed)


def routed(found: Routing) -> pl.DataFrame:
    """How many were answered for by their group's adapter, the general one or a mixture, by nearest group."""
    nearest = found.nearest.argmax(axis=1) if found.nearest.shape[1] else np.full(len(found.kinds), -1)
    known = found.nearest.sum(axis=1) > 0
    names = [f"group {k}" if own else "none" for k, own in zip(nearest, known, strict=True)]
    rows = pl.DataFrame({"nearest": names, "answered_by": found.kinds}, schema_overrides={"nearest": pl.String})
    return rows.group_by("nearest", "answered_by").len("users").sort("nearest", "answered_by")
