"""Students and teacher of the distillation's quality table, in the sizes of DLLM2Rec: window 10, width 64."""

from dataclasses import replace

from bench.distill_data import DEPTH, WINDOW
from bench.seqrec_settings import BCE, CE, course, method
from kitrec.distillation.params import DROS, Embedding, Ensemble, Importance, Ranking, Selection, StudentConfig
from kitrec.recommenders.models.params import ItemKNN
from kitrec.recommenders.params import BERT4Rec, Caser, Counted, GRU4Rec, Loss, Masking, Metadata, Method, Model, SASRec

# 64 sequences a batch hold about as many rows as the paper's 256 windows
LEARNING = replace(course(200, 10), batch=64)


def distill(model: Model, loss: Loss = BCE, alpha: float = 0.0) -> StudentConfig:
    """The published strengths: beside a binary loss twice the published numbers, whose base loss is half of ours."""
    return StudentConfig(
        student=method(model, loss, LEARNING),
        ranking=Ranking(
            weight=1.6 if loss is BCE else 0.8,
            topk=10,
            importance=Importance(position=0.3, confidence=0.5, consistency=0.1, decay=1.0),
        ),
        embedding=Embedding(form="injection", weight=0.3),
        dros=DROS(alpha=alpha, beta=1.0, power=0.05),
        selection=Selection(policy="all", fraction=1.0),
        missing="refuse",
        depth=DEPTH,
    )


def _gently(own: StudentConfig) -> StudentConfig:
    """Beside cross-entropy the published 0.8 drowns the item that came next; chosen by toys_s3rec's validation."""
    return replace(own, ranking=replace(own.ranking, weight=0.2), embedding=Embedding(form="off", weight=0.0))


SASREC = SASRec(kind="sasrec", hidden=64, heads=1, layers=1, length=WINDOW, dropout=0.1)
STUDENTS: dict[str, StudentConfig] = {
    "sasrec": distill(SASREC),
    "sasrec_ce": _gently(distill(SASREC, CE)),
    "dros": distill(SASREC, alpha=1.0),
    "gru4rec": distill(GRU4Rec(kind="gru4rec", hidden=64, layers=1, length=WINDOW, dropout=0.1)),
    "caser": distill(
        Caser(kind="caser", hidden=64, length=WINDOW, ahead=1, horizontal=16, vertical=4, dropout=0.1),
    ),
    "bert4rec": distill(
        BERT4Rec(
            kind="bert4rec",
            hidden=64,
            heads=2,
            layers=2,
            length=WINDOW,
            dropout=0.1,
            masking=Masking(random=0.2, last=1.0),
            share_embeddings=True,
            metadata=Metadata(features=[], fusion="gate", dropout=0.0),
        ),
        CE,
    ),
}


def _wide(hidden: int, epochs: int) -> Method:
    """Wider than any student; its epochs were chosen once, by the validation of toys_s3rec."""
    model = SASRec(kind="sasrec", hidden=hidden, heads=1, layers=1, length=50, dropout=0.3)
    return method(model, CE, replace(LEARNING, mode="full_data", epochs=epochs))


# Five folds, as half of the readers teach a third less. Ranks, not z-scores: what a counting model says of an item is 0
# or far out, and its z-scores drown those of the others (log.md). EASE and random walks add nothing to these three.
TEACHER = Ensemble(
    members={
        "sasrec_128": _wide(128, 7),
        "sasrec_256": _wide(256, 5),
        "item_knn": Counted(history="target", model=ItemKNN(kind="item_knn", neighbours=100, shrink=10.0)),
    },
    combine="reciprocal_rank",
    folds=5,
    list_length=10,
)
