"""BPR-MF (Rendle et al.: BPR: Bayesian Personalized Ranking from Implicit Feedback, UAI 2009) over both domains.

    r_ui = p_u . q_i + b_i
    L = -log s(r_ui - r_uj)                                        j an item of i's domain the user has not had
Shapes: B users (n rows), C candidates, k negatives, d width.

Deviations: p_u is a row of a table only in the paper's form; in the history form it is made of a second set of item
embeddings (as FISM, Kabbur et al. 2013). The L2 terms are AdamW's decay of the rows a step looked up."""

import torch
import torch.nn.functional as F

from kitrec.recommenders.data.cross_domain_batches import CrossDomainBatch
from kitrec.recommenders.data.item_domains import ItemDomains
from kitrec.recommenders.models import params
from kitrec.recommenders.models.interface import Learner, PairBatch, counted_mean
from kitrec.recommenders.models.user_encoders import embedding_table, user_encoder


class BPRMF(Learner):
    def __init__(self, item_domains: ItemDomains, users: int | None, p: params.BPRMF) -> None:
        super().__init__(item_domains)
        rows = item_domains.items + 1
        self.items, self.bias = embedding_table(rows, p.hidden_size), embedding_table(rows, 1)
        self.history_items = embedding_table(rows if users is None else 1, p.hidden_size)
        self.users = user_encoder(p.hidden_size, users, vectors=1)

    def loss(self, batch: PairBatch) -> torch.Tensor:
        items = batch.items.flatten(1)
        scores = self.scores(batch.users, items).view_as(batch.items)
        losses = -F.logsigmoid(scores[..., :1] - scores[..., 1:]).mean(2)
        return counted_mean(losses[:, 0], batch.counted[:, 0]) + counted_mean(losses[:, 1], batch.counted[:, 1])

    def scores(self, batch: CrossDomainBatch, candidates: torch.Tensor) -> torch.Tensor:
        user = self.users(batch, self.history_items.weight)[0]
        return torch.einsum("nd,ncd->nc", user, self.items(candidates)) + self.bias(candidates).squeeze(-1)
