"""BPR-MF (Rendle et al.: BPR: Bayesian Personalized Ranking from Implicit Feedback, UAI 2009) over both domains.

    r_ui = p_u . q_i + b_i
    L = -log s(r_ui - r_uj)                                        j an item of i's domain the reader did not touch
Shapes: B readers (n rows), C candidates, k negatives, d width.

Deviations: p_u is a table's row only in the paper's form; in the history form it is made of a second set of item
embeddings (as FISM, Kabbur et al. 2013). The L2 terms are AdamW's decay of the rows a step looked up."""

import torch
import torch.nn.functional as F

from kitrec.recommenders.data.cross_domain_batches import Asked
from kitrec.recommenders.data.item_domains import Catalogue
from kitrec.recommenders.models import params
from kitrec.recommenders.models.cross_domain_model import Learner, Lesson, counted_mean
from kitrec.recommenders.models.user_encoders import encoder, table


class BPRMF(Learner):
    def __init__(self, catalogue: Catalogue, users: int | None, p: params.BPRMF) -> None:
        super().__init__(catalogue)
        self.items, self.bias = table(catalogue.items + 1, p.hidden), table(catalogue.items + 1, 1)
        self.read = table(catalogue.items + 1 if users is None else 1, p.hidden)
        self.readers = encoder(p.hidden, users, vectors=1)

    def loss(self, lesson: Lesson) -> torch.Tensor:
        rows = lesson.items.flatten(1)
        scores = self._scores(self.readers(lesson.asked, self.read.weight)[0], rows).view_as(lesson.items)
        ahead = -F.logsigmoid(scores[..., :1] - scores[..., 1:]).mean(2)
        return counted_mean(ahead[:, 0], lesson.counted[:, 0]) + counted_mean(ahead[:, 1], lesson.counted[:, 1])

    def scores(self, asked: Asked, candidates: torch.Tensor) -> torch.Tensor:
        return self._scores(self.readers(asked, self.read.weight)[0], candidates)

    def _scores(self, reader: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
        return torch.einsum("nd,ncd->nc", reader, self.items(items)) + self.bias(items).squeeze(-1)
