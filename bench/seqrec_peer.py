"""RecBole's side of bench/seqrec.py, run in its own environment:   python seqrec_peer.py FOLDER MODEL SECONDS

FOLDER/data/data.inter holds user_id, item_id, timestamp. Prints one line of JSON: supervised targets per second in
training, users per second in evaluation over all items, validation NDCG@10. SECONDS 0: one whole epoch."""

import json
import sys
import time

import torch
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.utils import get_model, get_trainer, init_seed

FOLDER, MODEL, SECONDS = sys.argv[1], sys.argv[2], float(sys.argv[3])
SETTINGS = {
    "data_path": FOLDER,
    "USER_ID_FIELD": "user_id",
    "ITEM_ID_FIELD": "item_id",
    "TIME_FIELD": "timestamp",
    "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
    "MAX_ITEM_LIST_LENGTH": 50,
    "hidden_size": 64,
    "inner_size": 64 if MODEL == "SASRec" else 256,
    "n_layers": 2,
    "n_heads": 2,
    "hidden_dropout_prob": 0.5 if MODEL == "SASRec" else 0.2,
    "attn_dropout_prob": 0.5 if MODEL == "SASRec" else 0.2,
    "mask_ratio": 0.2,
    "loss_type": "CE",
    "train_neg_sample_args": None,
    "train_batch_size": 256,
    "eval_batch_size": 4096,
    "learning_rate": 1e-3,
    "eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "mode": "full", "group_by": "user"},
    "metrics": ["NDCG"],
    "topk": [10],
    "valid_metric": "NDCG@10",
    "use_gpu": False,
    "show_progress": False,
    "state": "ERROR",
    "checkpoint_dir": f"{FOLDER}/saved",
}


def main() -> None:
    """Train for SECONDS, then evaluate once."""
    config = Config(model=MODEL, dataset="data", config_dict=SETTINGS)
    init_seed(0, True)
    dataset = create_dataset(config)
    train, valid, _ = data_preparation(config, dataset)
    model = get_model(config["model"])(config, train.dataset)
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
    targets, began, warm = 0, time.perf_counter(), SECONDS == 0
    model.train()
    for number, batch in enumerate(train):
        if not warm and number == 2:  # the first batches also warm up
            targets, began, warm = 0, time.perf_counter(), True
        trainer.optimizer.zero_grad()
        loss = model.calculate_loss(batch)
        loss.backward()
        trainer.optimizer.step()
        targets += int((batch["MASK_INDEX"] > 0).sum()) if MODEL == "BERT4Rec" else len(batch)
        if SECONDS and time.perf_counter() - began >= SECONDS:
            break
    trained = time.perf_counter() - began
    began = time.perf_counter()
    metrics = trainer.evaluate(valid, load_best_model=False, show_progress=False)
    users = len(valid.dataset)
    figures = {"targets_per_second": targets / trained, "users_per_second": users / (time.perf_counter() - began)}
    figures |= {"trained_seconds": trained, "ndcg@10": float(metrics["ndcg@10"])}
    print(json.dumps({**figures, "users": users, "threads": torch.get_num_threads()}))


if __name__ == "__main__":
    main()
