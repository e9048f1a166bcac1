"""A model from its params: the one place that knows all kinds."""

from kitrec.idrec import params
from kitrec.idrec.bert4rec import BERT4Rec
from kitrec.idrec.caser import Caser
from kitrec.idrec.gru4rec import GRU4Rec
from kitrec.idrec.known import Known
from kitrec.idrec.recommender import Recommender
from kitrec.idrec.sasrec import SASRec


def build(p: params.Model, items: int, known: Known | None = None) -> Recommender:
    """A fresh model of `items` items; only BERT4Rec reads metadata."""
    match p:
        case params.SASRec():
            return SASRec(items, p)
        case params.GRU4Rec():
            return GRU4Rec(items, p)
        case params.Caser():
            return Caser(items, p)
        case params.BERT4Rec():
            return BERT4Rec(items, p, known)
