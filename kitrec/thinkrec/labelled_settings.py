"""The models of likes that are learned from labelled rows, in the sizes of CoLLM's table (ml1m_collm)."""

from kitrec.idrec.params import SASRec
from kitrec.thinkrec.params import MF, LabelledCourse


def _course(model: MF | SASRec, patience: int, rate: float, bias_rate: float) -> LabelledCourse:
    return LabelledCourse(
        model=model,
        epochs=50,
        batch=1024,
        learning_rate=rate,
        weight_decay=0.01,
        patience=patience,
        next_item=0.0,
        bias_rate=bias_rate,
    )


MATRIX = _course(MF(kind="mf", hidden=64), patience=4, rate=1e-3, bias_rate=10.0)
SEQUENCE = _course(
    SASRec(kind="sasrec", hidden=64, heads=2, layers=1, length=50, dropout=0.5), patience=5, rate=3e-4, bias_rate=33.0
)
