"""What a routing table comes down to, counted by hand."""

import numpy as np
import polars as pl
import pytest

from kitrec.evaluation.routing_summary import has_groups, missing_vectors, routing_statistics, users_by_group
from kitrec.schemas.routing import ROUTING


def made_routing(**changed) -> pl.DataFrame:
    columns = {
        "record_id": list("abcd"),
        "answered_by": ["group", "general", "mixture", "general"],
        "adapter_weights": [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.7, 0.3], [1.0, 0.0, 0.0]],
        "group_affinities": [[0.9, 0.1], [0.5, 0.5], [0.7, 0.3], [0.0, 0.0]],
        "user_without_vector": [False, False, False, True],
        "candidates_without_vector": [0, 2, 0, 3],
    }
    return pl.DataFrame(columns | changed, schema=dict(ROUTING.columns))


def made_routing_without_groups(**changed) -> pl.DataFrame:
    columns = {"answered_by": ["general"] * 4, "adapter_weights": [[1.0]] * 4, "group_affinities": [[]] * 4}
    return made_routing(**(columns | changed))


def test_statistics_count_users_by_what_answered():
    found = routing_statistics(made_routing())
    assert {name: found[name] for name in ("users", "group", "general", "mixture")} == {
        "users": 4,
        "group": 1,
        "general": 2,
        "mixture": 1,
    }
    assert found["without_vector"] == 1 and found["top_weight"] == 0.7
    entropies = [-sum(w * np.log(w) for w in row) for row in ([0.9, 0.1], [0.5, 0.5], [0.7, 0.3])]
    assert found["entropy"] == pytest.approx(np.mean(entropies), abs=1e-5)
    assert found["share_of_adapter"] == [0.5, 0.425, 0.075]


def test_users_are_counted_by_nearest_group_and_by_what_answered():
    rows = users_by_group(made_routing()).rows()
    assert rows == [
        ("group 0", "general", 1),
        ("group 0", "group", 1),
        ("group 0", "mixture", 1),
        ("none", "general", 1),
    ]
    assert users_by_group(made_routing_without_groups()).rows() == [("none", "general", 4)]


def test_missing_vectors_are_counted_where_prompts_show_vectors():
    assert missing_vectors(made_routing()) == {"users_without_vector": 1, "candidates_without_vector": 5}
    nothing = [None] * 4
    assert missing_vectors(made_routing(user_without_vector=nothing, candidates_without_vector=nothing)) == {}


def test_groups_are_recognised():
    assert has_groups(made_routing()) and not has_groups(made_routing_without_groups())
