"""The dual loss of a batch of reasoning and recommendation samples.

    L = 1/B [ n1 (alpha L_rec + beta L_LM) over reasoning samples + n2 (theta L_rec + gamma L_LM) over the others ]
    L_rec   mean over the samples of a kind of  -y log s(z) - (1 - y) log(1 - s(z))
            z: the logit of the first token of Yes at the start of the answer, or that logit minus the one of No
            where the answer is an item, s(z) is the probability p of its whole title, end of turn included
    L_LM    mean cross-entropy over all answer tokens of the samples of a kind; a title of label 0 counts 0, since
            nobody should learn to write it
A batch of one kind, with one weight 1 and the other 0, has exactly the loss of a classifier or of a language model. A
batch may be split into micro-batches: the loss of each is its summands of L, so that their losses add up to L.
Shapes: B samples, n1 + n2 = B; A answer tokens."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from kitrec.thinkrec.params import Objective


@dataclass(frozen=True)
class Outputs:
    """Outputs of a forward pass over a batch."""

    yes: torch.Tensor  # [B] logits at the start of the answer
    no: torch.Tensor  # [B]
    token_log_probs: torch.Tensor  # [A] log probability of each answer token
    sample: torch.Tensor  # [A] sample of each answer token, 0 ... B-1
    item: torch.Tensor | None = None  # [B] whether the answer is an item's title; None: no answer is

    def answer_log_probs(self) -> torch.Tensor:
        """Return the log probability [B] of each whole answer."""
        sums = self.token_log_probs.new_zeros(len(self.yes), dtype=torch.float32)
        return sums.index_add(0, self.sample, self.token_log_probs.float())


def like_logit(yes: torch.Tensor, no: torch.Tensor, p: Objective) -> torch.Tensor:
    """Return z, the logit whose logistic function is the probability of a like."""
    return yes if p.logit == "yes" else yes - no


@dataclass(frozen=True)
class BatchCounts:
    """Samples and answer tokens of a batch, by whether they are reasoning samples."""

    samples: dict[bool, int]
    tokens: dict[bool, int]


def batch_counts(reasoning: torch.Tensor, sample: torch.Tensor) -> BatchCounts:
    """Count a batch; `reasoning` [B] marks reasoning samples, `sample` [A] is the sample of each answer token."""
    kinds = (True, False)
    counts = [{kind: int((mask == kind).sum()) for kind in kinds} for mask in (reasoning, reasoning[sample])]
    return BatchCounts(*counts)


def loss(
    outputs: Outputs, labels: torch.Tensor, reasoning: torch.Tensor, p: Objective, whole: BatchCounts | None = None
) -> torch.Tensor:
    """Return L of a batch, or the summands of a micro-batch of a `whole` batch; `labels` [B] are 0 or 1."""
    whole = whole or batch_counts(reasoning, outputs.sample)
    size = sum(whole.samples.values())
    z = like_logit(outputs.yes, outputs.no, p).float()
    each = F.binary_cross_entropy_with_logits(z, labels.float(), reduction="none")
    token_log_probs = outputs.token_log_probs
    if outputs.item is not None and outputs.item.any():
        each = torch.where(outputs.item, _item_loss(outputs.answer_log_probs(), labels), each)
        unwritten = (outputs.item & (labels == 0))[outputs.sample]
        token_log_probs = token_log_probs.masked_fill(unwritten, 0.0)
    total = each.new_zeros(())
    for is_reasoning, rec_weight, text_weight in ((True, p.alpha, p.beta), (False, p.theta, p.gamma)):
        kind = reasoning == is_reasoning
        total = total + rec_weight * each[kind].sum() / size
        if text_weight and whole.tokens[is_reasoning]:
            share = whole.samples[is_reasoning] / size / whole.tokens[is_reasoning]
            total = total - text_weight * share * token_log_probs[kind[outputs.sample]].float().sum()
    return total


def _item_loss(log_probs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return -y log p - (1 - y) log(1 - p) of titles with the log probabilities log p [B]."""
    below_one = log_probs.clamp(max=-1e-6)
    return torch.where(labels > 0, -log_probs, -torch.log(-torch.expm1(below_one)))
