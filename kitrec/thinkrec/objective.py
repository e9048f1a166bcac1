"""One loss for two kinds of samples in a batch.

    L = 1/B [ n1 (alpha L_rec + beta L_LM) over reasoning samples + n2 (theta L_rec + gamma L_LM) over the others ]
    L_rec   mean over the samples of a kind of  -y log s(z) - (1 - y) log(1 - s(z))
            z: the logit of the first token of Yes where the answer begins, or that logit minus the one of No
    L_LM    mean cross-entropy over all answer tokens of the samples of a kind
So a batch of one kind, with one weight 1 and the other 0, has exactly the loss of a classifier or of a language model.
Shapes: B samples, n1 + n2 = B; A answer tokens; V words."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from kitrec.thinkrec.params import Objective


@dataclass(frozen=True)
class Outputs:
    """What a forward of a batch found."""

    yes: torch.Tensor  # [B] logits where the answer begins
    no: torch.Tensor  # [B]
    likelihoods: torch.Tensor  # [A] log likelihood of each answer token
    sample: torch.Tensor  # [A] whose token it is, 0 ... B-1


def decision(yes: torch.Tensor, no: torch.Tensor, p: Objective) -> torch.Tensor:
    """z: the logit whose logistic function is the probability of a like."""
    return yes if p.logit == "yes" else yes - no


def loss(found: Outputs, labels: torch.Tensor, reasoning: torch.Tensor, p: Objective) -> torch.Tensor:
    """L of a batch; `labels` [B] are 0 or 1, `reasoning` [B] says the mode of each sample."""
    each = F.binary_cross_entropy_with_logits(
        decision(found.yes, found.no, p).float(), labels.float(), reduction="none"
    )
    total = each.new_zeros(())
    for kind, rec_weight, text_weight in ((reasoning, p.alpha, p.beta), (~reasoning, p.theta, p.gamma)):
        count = int(kind.sum())
        if count:
            words = kind[found.sample]
            text = -found.likelihoods[words].float().mean() if text_weight and words.any() else each.new_zeros(())
            total = total + count / len(labels) * (rec_weight * each[kind].mean() + text_weight * text)
    return total
