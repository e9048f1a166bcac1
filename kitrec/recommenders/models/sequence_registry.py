"""A model from its params: the one place that knows all kinds."""

from kitrec.recommenders.data.item_features import ItemFeatures
from kitrec.recommenders.models import params
from kitrec.recommenders.models.bert4rec import BERT4Rec
from kitrec.recommenders.models.caser import Caser
from kitrec.recommenders.models.gru4rec import GRU4Rec
from kitrec.recommenders.models.sasrec import SASRec
from kitrec.recommenders.models.sequence_model import Recommender


def build(p: params.SequenceModel, items: int, known: ItemFeatures | None = None) -> Recommender:
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
