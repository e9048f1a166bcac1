"""One loss for two kinds of samples in a batch.

    L = 1/B [ n1 (alpha L_rec + beta L_LM) over reasoning samples + n2 (theta L_rec + gamma L_LM) over the others ]
    L_rec   mean over the samples of a kind of  -y log s(z) - (1 - y) log(1 - s(z))
            z: the logit of the first token of Yes where the answer begins, or that logit minus the one of No
    L_LM    mean cross-entropy over all answer tokens of the samples of a kind
So a batch of one kind, with one weight 1 and the other 0, has exactly the loss of a classifier or of a language model.
A batch may come in parts: a part's loss is its summands of L, so the losses of all parts add up to L.
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


@dataclass(frozen=True)
class Counts:
    """Of a whole batch, by whether it is reasoning: samples, and their answer tokens."""

    samples: dict[bool, int]
    words: dict[bool, int]


def counts_of(reasoning: torch.Tensor, sample: torch.Tensor) -> Counts:
    """`reasoning` [B] says the mode of each sample, `sample` [A] whose token an answer token is."""
    words = reasoning[sample]
    kinds = (True, False)
    return Counts(*({kind: int((own == kind).sum()) for kind in kinds} for own in (reasoning, words)))


def loss(
    found: Outputs, labels: torch.Tensor, reasoning: torch.Tensor, p: Objective, whole: Counts | None = None
) -> torch.Tensor:
    """L of a batch, or the summands of its part of a `whole`; `labels` [B] are 0 or 1."""
    whole = whole or counts_of(reasoning, found.sample)
    every = sum(whole.samples.values())
    z = decision(found.yes, found.no, p).float()
    each = F.binary_cross_entropy_with_logits(z, labels.float(), reduction="none")
    total = each.new_zeros(())
    for is_reasoning, rec_weight, text_weight in ((True, p.alpha, p.beta), (False, p.theta, p.gamma)):
        kind = reasoning == is_reasoning
        total = total + rec_weight * each[kind].sum() / every
        if text_weight and whole.words[is_reasoning]:
            share = whole.samples[is_reasoning] / every / whole.words[is_reasoning]
            total = total - text_weight * share * found.likelihoods[kind[found.sample]].float().sum()
    return total
