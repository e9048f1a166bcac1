"""RecTools' side of bench/seqrec_rectools.py:   python seqrec_rectools_peer.py FOLDER MODEL SECONDS

FOLDER/data/data.inter holds user_id, item_id, timestamp; the last item of each user is left out, the one before it
validates. Trains for SECONDS and prints one line of JSON: supervised targets per second in training, users per second
to the ten best of all items, validation NDCG@10."""

import json
import sys
import time
import warnings
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from pytorch_lightning import Callback, Trainer, seed_everything
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import BERT4RecModel, SASRecModel

FOLDER, MODEL, SECONDS = sys.argv[1], sys.argv[2], float(sys.argv[3])
SHARED = {
    "n_blocks": 2,
    "n_heads": 2,
    "n_factors": 64,
    "session_max_len": 50,
    "loss": "softmax",
    "lr": 1e-3,
    "batch_size": 256,
}
MODELS = {
    "SASRec": partial(SASRecModel, dropout_rate=0.5, **SHARED),
    "BERT4Rec": partial(BERT4RecModel, dropout_rate=0.2, mask_prob=0.2, **SHARED),
}


class Clock(Callback):  # type: ignore[misc]  # RecTools is not installed where types are checked
    """Counts targets from the second batch on, since the first one also warms up, and ends the training in time."""

    def __init__(self) -> None:
        self.targets, self.targets_per_second, self.began = 0, 0.0, time.perf_counter()

    def on_train_batch_end(self, trainer: Any, _module: Any, _outputs: Any, batch: Any, _batch_idx: int) -> None:
        """Count the targets of a batch."""
        if trainer.global_step == 1:
            self.counted_from = time.perf_counter()
        else:
            self.targets += int((batch["y"] > 0).sum())
            self.targets_per_second = self.targets / (time.perf_counter() - self.counted_from)
        trainer.should_stop = trainer.should_stop or time.perf_counter() - self.began > SECONDS


def main() -> None:
    """Train, then recommend once to everybody."""
    warnings.simplefilter("ignore")
    seed_everything(0)
    rows = pd.read_csv(f"{FOLDER}/data/data.inter", sep="\t")
    rows.columns = [Columns.User, Columns.Item, Columns.Datetime]
    rows = rows.assign(weight=1.0).sort_values([Columns.User, Columns.Datetime], kind="stable")
    from_end = rows.groupby(Columns.User).cumcount(ascending=False)
    dataset = Dataset.construct(rows[from_end > 1])
    truth = rows[from_end == 1].set_index(Columns.User)[Columns.Item]
    trainer = {
        "max_epochs": 1000,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "accelerator": "cpu",
    }
    model = MODELS[MODEL](get_trainer_func=lambda: Trainer(callbacks=[Clock()], **trainer))
    began = time.perf_counter()
    model.fit(dataset)
    clock = next(callback for callback in model.fit_trainer.callbacks if isinstance(callback, Clock))  # it was copied
    figures = {"trained_seconds": time.perf_counter() - began, "targets_per_second": clock.targets_per_second}
    began = time.perf_counter()
    ranked = model.recommend(truth.index.to_numpy(), dataset, k=10, filter_viewed=True)
    figures["users_per_second"] = len(truth) / (time.perf_counter() - began)
    hits = ranked[ranked[Columns.Item].to_numpy() == truth.loc[ranked[Columns.User]].to_numpy()]
    figures["ndcg@10"] = float((1 / np.log2(hits[Columns.Rank] + 1)).sum() / len(truth))
    figures["steps"] = model.fit_trainer.global_step
    print(json.dumps({**figures, "threads": torch.get_num_threads()}))


if __name__ == "__main__":
    main()
