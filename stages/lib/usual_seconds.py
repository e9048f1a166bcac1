"""Seconds that long stages of `make real` take on two cores, side by side, for a machine where they never ran."""

USUAL_SECONDS: dict[str, float] = {
    "train_titles@title": 1060.0,
    "rank_titles@title": 620.0,
    "train_idrec@bert4rec": 1120.0,
    "train_titles@embedding": 470.0,
    "train_idrec@gru4rec": 320.0,
    "train_idrec@bpr_mf": 240.0,
    "probe_memory@base": 220.0,
    "train_idrec@ease": 110.0,
    "train_titles@minilm": 80.0,
    "rank_titles@embedding": 60.0,
}
