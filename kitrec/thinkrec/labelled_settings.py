"""The models of likes that are learned from labelled rows, in the sizes of CoLLM's table (ml1m_collm)."""

from kitrec.idrec.params import SASRec
from kitrec.thinkrec.params import MF, LabelledCourse


def _course(model: MF | SASRec, patience: int) -> LabelledCourse:
    return LabelledCourse(
        model=model,
        epochs=50,
        batch=1024,
        learning_rate=1e-3,
        weight_decay=0.01,
        patience=patience,
        next_item=0.0,
        bias_rate=10.0,
    )


MATRIX = _course(MF(kind="mf", hidden=64), patience=4)
SEQUENCE = _course(SASRec(kind="sasrec", hidden=64, heads=2, layers=2, length=25, dropout=0.5), patience=2)
