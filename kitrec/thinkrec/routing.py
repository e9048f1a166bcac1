"""Which adapters answer for a user.

    c_g = cosine(user, centroid_g),   w = softmax(c / T),  T = 0.1,   H = -sum w log w,   n groups
    group      if max w > 0.5 + 0.6 / n:  that group's adapter alone
    general    else if H >= 0.95 log n:   the general adapter alone
    mixture    else:                      all groups' adapters, weighted by w
A user without a vector gets the general adapter. With one group the bar of `group` is out of reach and H = log n = 0:
general. Shapes: U users, G groups; weights [U, 1 + G], the general adapter first."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kitrec.thinkrec.groups import Grouped, unit_rows
from kitrec.thinkrec.params import RoutingRule
from kitrec.thinkrec.vector_shards import Vectors

KINDS = ("group", "general", "mixture")


@dataclass(frozen=True)
class Routing:
    weights: np.ndarray  # [U, 1 + G]
    kinds: list[str]  # [U] of KINDS
    nearest: np.ndarray  # [U, G] w, also where it is not used; zero without a vector

    def statistics(self) -> dict[str, object]:
        """How many users went which way, how sure it was, and what each adapter had to do."""
        known = self.nearest[self.nearest.sum(axis=1) > 0]
        return {
            "users": len(self.kinds),
            "without_vector": len(self.kinds) - len(known),
            **{kind: self.kinds.count(kind) for kind in KINDS},
            "top_weight": round(float(known.max(axis=1).mean()), 5) if len(known) else None,
            "entropy": round(float(entropies(known).mean()), 5) if len(known) else None,
            "share_of_adapter": [round(float(own), 5) for own in self.weights.mean(axis=0)],
        }


def route(users: Sequence[str], vectors: Vectors, groups: Grouped, p: RoutingRule) -> Routing:
    """The weights of every user's adapters."""
    found = [vectors.find(user) for user in users]
    known = np.array([k for k, own in enumerate(found) if own is not None], dtype=np.int64)
    count = len(groups.centroids)
    nearest, weights = np.zeros((len(users), count)), np.zeros((len(users), 1 + count))
    if len(known):
        rows = np.stack([own for own in found if own is not None])
        nearest[known] = softmax(unit_rows(rows) @ unit_rows(groups.centroids).T / p.temperature)
    kinds = ["general"] * len(users)
    for user in known:
        kinds[user] = kind_of(nearest[user], p)
    for user, kind in enumerate(kinds):
        match kind:
            case "general":
                weights[user, 0] = 1
            case "group":
                weights[user, 1 + nearest[user].argmax()] = 1
            case _:
                weights[user, 1:] = nearest[user]
    return Routing(weights, kinds, nearest)


def kind_of(weights: np.ndarray, p: RoutingRule) -> str:
    """By the rule above, from w [G] of one user."""
    count = len(weights)
    if weights.max() > p.top_base + p.top_slope / count:
        return "group"
    return "general" if entropies(weights[None])[0] >= p.entropy * np.log(count) else "mixture"


def entropies(weights: np.ndarray) -> np.ndarray:
    """[U] H of each row, in nats."""
    return np.asarray(-(weights * np.log(np.where(weights > 0, weights, 1))).sum(axis=1))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Of each row."""
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))
