"""A trained ThinkRec stage on the pipeline's test records: rankings by P(Yes), and the adapters that answered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from kitrec.core import files
from kitrec.llm.base.loading import BaseWeights, load_base
from kitrec.llm.base.memory_plan import check_scoring
from kitrec.llm.base.pinning import PinnedBase
from kitrec.prompts.tokens import Encoder
from kitrec.recommenders.data.user_histories import histories, user_targets
from kitrec.schemas.routing import ROUTING
from kitrec.thinkrec.adapter_mixture import mixtures
from kitrec.thinkrec.collaborative_vectors import CollaborativeEncoder
from kitrec.thinkrec.conversion import user_histories, user_keys
from kitrec.thinkrec.groups import UserGroups, with_centroids
from kitrec.thinkrec.params import EngineScoring, Objective, Prompt, RoutingRule, TransformersScoring
from kitrec.thinkrec.prompt_composer import PromptComposer
from kitrec.thinkrec.routing import Routing, general_only, route
from kitrec.thinkrec.storage import TrainedStage, load_trained
from kitrec.thinkrec.vector_shards import Vectors, read_shards
from kitrec.thinkrec.vllm_scoring import ServedStage, load_served
from kitrec.thinkrec.yes_no_ranking import rank_candidates


@dataclass(frozen=True)
class InferenceContext:
    """Histories of the test users, vectors of users and items, and the groups of the training users."""

    histories: Mapping[str, Sequence[str]]
    users: Vectors
    items: Vectors
    groups: UserGroups | None


def load_stage(
    scoring: TransformersScoring | EngineScoring,
    base: PinnedBase,
    weights: BaseWeights,
    tokenizer: Any,
    folder: Path,
    stage: str,
    seed: int,
) -> TrainedStage | ServedStage:
    """Load the model of a stage, on transformers or on a vLLM engine."""
    if scoring.kind == "vllm":
        return load_served(base, tokenizer, scoring.engine, folder, stage, seed)
    check_scoring(base, weights, 1, 0)  # adapters are small, and their rank is that of the text stage
    return load_trained(load_base(base, weights), tokenizer, base, folder, stage)


def load_context(
    encoder: CollaborativeEncoder,
    records: pl.DataFrame,
    interactions: pl.DataFrame,
    folder: Path,
    group_of: Mapping[str, int],
) -> InferenceContext:
    """Build the context of test records; `folder` holds the training records, whose vectors define the groups."""
    users, history = user_targets(interactions), files.read_json(folder / "origin.json")["history"]
    sequences = histories(interactions, users, history, encoder.vocabulary)
    user_vectors, item_vectors = encoder.encode(user_keys(users), sequences)
    groups = with_centroids(group_of, read_shards([folder / "users.safetensors"])) if group_of else None
    return InferenceContext(user_histories(records, interactions), user_vectors, item_vectors, groups)


@dataclass(frozen=True)
class StageRanker:
    """The model of a stage with its prompts, its routing rule and the context of the test records."""

    model: TrainedStage | ServedStage
    prompt: Prompt
    objective: Objective
    rule: RoutingRule
    tokens: Encoder
    context: InferenceContext

    def rank(self, method: str, titles: Mapping[str, str], records: pl.DataFrame) -> pl.DataFrame:
        """Return the rankings table of the records."""
        matrices = mixtures(self._route(records).weights, self.rule.merge) if self.model.groups else None
        scorer = self.model.scorer(self._composer(), self.objective)
        return rank_candidates(method, records, self.context.histories, titles, scorer, matrices)

    def routing(self, records: pl.DataFrame) -> pl.DataFrame:
        """Return the routing table of the records: the adapters that answer, and the vectors that prompts lack."""
        routing, shows_vectors = self._route(records), self.model.projector is not None
        users, items = set(self.context.users.ids), set(self.context.items.ids)
        users_missing = [user not in users for user in user_keys(records)]
        items_missing = [sum(item not in items for item in ids) for ids in records["candidate_ids"].to_list()]
        columns = {
            "record_id": records["record_id"].to_list(),
            "answered_by": routing.answered_by,
            "adapter_weights": routing.weights.tolist(),
            "group_affinities": routing.affinities.tolist(),
            "user_without_vector": users_missing if shows_vectors else None,
            "candidates_without_vector": items_missing if shows_vectors else None,
        }
        nothing = [None] * records.height
        filled = {name: nothing if values is None else values for name, values in columns.items()}
        return pl.DataFrame(filled, schema=dict(ROUTING.columns))

    def _composer(self) -> PromptComposer:
        if self.model.projector is None:
            return PromptComposer(self.prompt.text, self.tokens, self.prompt.history_length, None, None)
        templates, length = self.prompt.vectors, self.prompt.history_length
        return PromptComposer(templates, self.tokens, length, self.context.users, self.context.items)

    def _route(self, records: pl.DataFrame) -> Routing:
        if self.context.groups is None:
            return general_only(records.height)
        return route(user_keys(records), self.context.users, self.context.groups, self.rule)
