"""Students and teacher of the distillation quality table, in the sizes of DLLM2Rec: window 10, width 64."""

from dataclasses import replace

from bench.distill_data import DEPTH, WINDOW
from bench.seqrec_settings import BCE, CE, method, training_config
from kitrec.distillation.params import DROS, Embedding, Ensemble, Importance, Ranking, Selection, StudentConfig
from kitrec.recommenders.models.params import (
    BERT4Rec,
    Caser,
    GRU4Rec,
    ItemKNN,
    Masking,
    Metadata,
    SASRec,
    SequenceModel,
)
from kitrec.recommenders.params import Loss, NonParametricMethod, SequenceMethod

# 64 sequences a batch hold about as many rows as the paper's 256 windows
LEARNING = replace(training_config(200, 10), batch_size=64)


def distill(model: SequenceModel, loss: Loss = BCE, alpha: float = 0.0) -> StudentConfig:
    """Return the published strengths; doubled beside a binary loss, since the published base loss is half of ours."""
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


def _weak_ranking(p: StudentConfig) -> StudentConfig:
    """Return weaker distillation, chosen on toys_s3rec's validation: with cross-entropy 0.8 drowns the next item."""
    return replace(p, ranking=replace(p.ranking, weight=0.2), embedding=Embedding(form="off", weight=0.0))


SASREC = SASRec(kind="sasrec", hidden_size=64, heads=1, layers=1, max_length=WINDOW, dropout=0.1)
STUDENTS: dict[str, StudentConfig] = {
    "sasrec": distill(SASREC),
    "sasrec_ce": _weak_ranking(distill(SASREC, CE)),
    "dros": distill(SASREC, alpha=1.0),
    "gru4rec": distill(GRU4Rec(kind="gru4rec", hidden_size=64, layers=1, max_length=WINDOW, dropout=0.1)),
    "caser": distill(
        Caser(kind="caser", hidden_size=64, max_length=WINDOW, num_targets=1, horizontal=16, vertical=4, dropout=0.1),
    ),
    "bert4rec": distill(
        BERT4Rec(
            kind="bert4rec",
            hidden_size=64,
            heads=2,
            layers=2,
            max_length=WINDOW,
            dropout=0.1,
            masking=Masking(random=0.2, last=1.0),
            share_embeddings=True,
            metadata=Metadata(features=[], fusion="gate", dropout=0.0),
        ),
        CE,
    ),
}


def _wide(hidden: int, epochs: int) -> SequenceMethod:
    """Return a member wider than any student; its epochs were chosen once, on toys_s3rec's validation."""
    model = SASRec(kind="sasrec", hidden_size=hidden, heads=1, layers=1, max_length=50, dropout=0.3)
    return method(model, CE, replace(LEARNING, mode="full_data", epochs=epochs))


# Five folds: trained on half of the users, members lose a third. Ranks, not z-scores: a counting model's scores are 0
# or extreme, and its z-scores drown the others (docs/log.md). EASE and random walks add nothing to these three.
TEACHER = Ensemble(
    members={
        "sasrec_128": _wide(128, 7),
        "sasrec_256": _wide(256, 5),
        "item_knn": NonParametricMethod(history="target", model=ItemKNN(kind="item_knn", neighbours=100, shrink=10.0)),
    },
    combine="reciprocal_rank",
    folds=5,
    list_length=10,
)
