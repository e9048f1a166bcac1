"""Routing: the adapters that answer for a user.

    c_g = cosine(user, centroid_g),   w = softmax(c / T),  T = 0.1,   H = -sum w log w,   n groups
    group      if max w > 0.5 + 0.6 / n:  that group's adapter alone
    general    else if H >= 0.95 log n:   the general adapter alone
    mixture    else:                      the adapters of all groups, weighted by w
A user without a vector gets the general adapter. With one group the threshold of `group` is out of reach and
H = log n = 0: general. Shapes: U users, G groups; weights [U, 1 + G], the general adapter first."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kitrec.thinkrec.groups import UserGroups, unit_rows
from kitrec.thinkrec.params import RoutingRule
from kitrec.thinkrec.vector_shards import Vectors


@dataclass(frozen=True)
class Routing:
    weights: np.ndarray  # [U, 1 + G]
    answered_by: list[str]  # [U] group, general or mixture
    affinities: np.ndarray  # [U, G] w, also where it is not used; zero without a vector


def general_only(user_count: int) -> Routing:
    """Route all users to the general adapter, without groups."""
    return Routing(np.ones((user_count, 1)), ["general"] * user_count, np.zeros((user_count, 0)))


def route(users: Sequence[str], vectors: Vectors, groups: UserGroups, p: RoutingRule) -> Routing:
    """Return the adapter weights of every user."""
    user_vectors = [vectors.find(user) for user in users]
    with_vector = np.array([k for k, vector in enumerate(user_vectors) if vector is not None], dtype=np.int64)
    count = len(groups.centroids)
    affinities, weights = np.zeros((len(users), count)), np.zeros((len(users), 1 + count))
    if len(with_vector):
        rows = np.stack([vector for vector in user_vectors if vector is not None])
        affinities[with_vector] = softmax(unit_rows(rows) @ unit_rows(groups.centroids).T / p.temperature)
    answered_by = ["general"] * len(users)
    for user in with_vector:
        answered_by[user] = adapter_choice(affinities[user], p)
    for user, choice in enumerate(answered_by):
        match choice:
            case "general":
                weights[user, 0] = 1
            case "group":
                weights[user, 1 + affinities[user].argmax()] = 1
            case _:
                weights[user, 1:] = affinities[user]
    return Routing(weights, answered_by, affinities)


def adapter_choice(weights: np.ndarray, p: RoutingRule) -> str:
    """Apply the rule above to the affinities w [G] of one user."""
    count = len(weights)
    if weights.max() > p.top_base + p.top_slope / count:
        return "group"
    entropy = -(weights * np.log(np.where(weights > 0, weights, 1))).sum()
    return "general" if entropy >= p.entropy * np.log(count) else "mixture"


def softmax(logits: np.ndarray) -> np.ndarray:
    """Softmax of each row."""
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))
