"""How much each item of a teacher's list counts (DLLM2Rec, section 4.1).

    position      exp(-rank / decay), rank = 1 ... K                     normalised over the row's items
    confidence    exp(-distance)                                         normalised over the row's items
    consistency   1 where the item is also among the student's own first K, else 0
    weight        gamma_p position + gamma_c confidence + gamma_o consistency, normalised over the row's items
An empty rank has no weight. A row that nothing speaks for (only consistency counts, and the student lists none of its
items) has no weight at all.

Deviation: the authors' code adds 1e-8 to confidence and consistency; here the normalisation is a softmax, which needs
no such floor however large the distances are. Shapes: n rows, K items."""

import torch

from kitrec.distillation.params import Importance


def importance(distances: torch.Tensor, consistent: torch.Tensor, p: Importance) -> torch.Tensor:
    """[n, K] weights from distances (infinite: an empty rank) and agreement; a row sums to 1, or to 0."""
    there = distances.isfinite()
    ranks = torch.arange(1, distances.shape[1] + 1, device=distances.device)
    position = _normalised((-ranks / p.decay).expand_as(distances), there)
    confidence = _normalised(-distances, there)
    weight = p.position * position + p.confidence * confidence + p.consistency * (consistent & there)
    return weight / weight.sum(1, keepdim=True).clamp_min(torch.finfo(weight.dtype).tiny)


def _normalised(logits: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
    """A softmax over what is there; zeros where nothing is."""
    return logits.masked_fill(~there, -torch.inf).softmax(1).nan_to_num(0.0)
