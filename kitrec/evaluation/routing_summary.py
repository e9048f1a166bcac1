"""Summary of a routing table: which adapters answered for how many users, and how many vectors were missing.

Shapes: U users (one per record), G groups."""

import numpy as np
import polars as pl
from scipy.special import entr

ANSWERED_BY = ("group", "general", "mixture")


def missing_vectors(routing: pl.DataFrame) -> dict[str, int]:
    """Count users and candidates without a vector; empty if the prompts show no vectors."""
    counted = routing.select("user_without_vector", "candidates_without_vector").drop_nulls()
    if not counted.height:
        return {}
    return {
        "users_without_vector": int(counted["user_without_vector"].sum()),
        "candidates_without_vector": int(counted["candidates_without_vector"].sum()),
    }


def routing_statistics(routing: pl.DataFrame) -> dict[str, object]:
    """Count users by what answered for them; mean top affinity, mean entropy and the share of each adapter."""
    affinities = np.array(routing["group_affinities"].to_list())
    routed = affinities[affinities.sum(axis=1) > 0]
    answered_by, weights = routing["answered_by"].to_list(), np.array(routing["adapter_weights"].to_list())
    return {
        "users": routing.height,
        "without_vector": routing.height - len(routed),
        **{name: answered_by.count(name) for name in ANSWERED_BY},
        "top_weight": round(float(routed.max(axis=1).mean()), 5) if len(routed) else None,
        "entropy": round(float(entr(routed).sum(axis=1).mean()), 5) if len(routed) else None,
        "share_of_adapter": [round(float(share), 5) for share in weights.mean(axis=0)],
    }


def has_groups(routing: pl.DataFrame) -> bool:
    """Return whether the users were routed among groups at all."""
    return bool(routing["group_affinities"].list.len().max())


def users_by_group(routing: pl.DataFrame) -> pl.DataFrame:
    """Count users by the group nearest to them and by what answered."""
    affinities = pl.col("group_affinities").list
    group = pl.format("group {}", affinities.arg_max())
    nearest = pl.when(affinities.sum() > 0).then(group).otherwise(pl.lit("none")).alias("nearest")
    rows = routing.select(nearest, "answered_by")
    return rows.group_by("nearest", "answered_by").len("users").sort("nearest", "answered_by")
