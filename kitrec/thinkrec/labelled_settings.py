"""Matrix factorisation of labelled rows, in the size of CoLLM's table (ml1m_collm)."""

from kitrec.thinkrec.params import MF, LabelledTrainingConfig

MATRIX = LabelledTrainingConfig(
    model=MF(kind="mf", hidden_size=64),
    epochs=50,
    batch_size=1024,
    learning_rate=1e-3,
    weight_decay=0.01,
    patience=4,
    next_item_weight=0.0,
    bias_lr_multiplier=10.0,
)
