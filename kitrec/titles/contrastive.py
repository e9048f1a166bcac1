"""The contrastive loss: the item that a user took next against items that others took (InfoNCE, arXiv 1807.03748).

    L = - mean_b log softmax_j s(u_b, j) at j = i_b,   j: the batch's items and the drawn ones
Items come as often as users take them, so they are negatives in proportion to their popularity; the loss is least at
    s(u, i) = log p(i | u) - log p(i) + a constant of u
what speaks for this user rather than for everybody. Popularity is left to a prior (prior.py). With the usual
correction by log p(j) (Yi et al., RecSys 2019) s would have to learn popularity from titles as well.
An item that equals a row's own is no negative of it. Shapes: B users, J items."""

import torch
import torch.nn.functional as F


def contrastive_loss(
    users: torch.Tensor, items: torch.Tensor, numbers: torch.Tensor, scale: torch.Tensor
) -> torch.Tensor:
    """Return L of users [B, d] and items [J, d], the first B their own; `numbers` [J] are the items'."""
    own = torch.arange(len(users), device=users.device)
    repeated = numbers[None] == numbers[: len(users), None]
    repeated[own, own] = False
    return F.cross_entropy((scale * users @ items.T).masked_fill(repeated, -torch.inf), own)
