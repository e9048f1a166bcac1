"""Matrix factorisation of labelled rows, in the size of CoLLM's table (ml1m_collm)."""

from kitrec.thinkrec.params import MF, LabelledCourse

MATRIX = LabelledCourse(
    model=MF(kind="mf", hidden=64),
    epochs=50,
    batch=1024,
    learning_rate=1e-3,
    weight_decay=0.01,
    patience=4,
    next_item=0.0,
    bias_rate=10.0,
)
