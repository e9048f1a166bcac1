"""The top items of a user, by the function and by `kitrec predict`."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl

from kitrec.onnx.inference import predict as predict_from
from kitrec.recommenders.data.sequences import sequences_from_lists
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.recommenders.ranking.top_k import predict
from kitrec.recommenders.storage import StoredModel, save_model
from tests.recommenders.made_models import ITEMS, made_model, model_params


def write(folder: Path, name: str, *rows: str) -> Path:
    path = folder / name
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def test_top_k_leaves_out_history_excluded_and_future_items():
    vocabulary = Vocabulary(f"i{k:02}" for k in range(ITEMS))
    stored = StoredModel(made_model("sasrec"), vocabulary, np.arange(ITEMS + 1, dtype=np.float32), {})
    histories = sequences_from_lists([[1, 2, 3], [], [4]])
    years = np.full(ITEMS + 1, np.nan)
    years[20:] = 2010
    everything = predict(stored, histories, ITEMS, np.array([5, 6]), years, np.array([2009, 2009, 2010]))
    numbers = [set(vocabulary.numbers(pl.Series(items)).tolist()) for items in everything.items]
    allowed = set(range(1, ITEMS + 1)) - {5, 6}
    assert numbers == [allowed - {1, 2, 3} - set(range(20, 31)), allowed - set(range(20, 31)), allowed - {4}]
    assert (everything.future_items, everything.users_with_future_items) == (22, 2)
    assert all(scores == sorted(scores, reverse=True) for scores in everything.scores)
    assert everything.items[1][:2] == ["i18", "i17"]  # a user without a known item: popularity
    top = predict(stored, histories, 3)
    weight = stored.model.items.weight[1:]
    from kitrec.recommenders.ranking.full import represent

    logits = (represent(stored.model, sequences_from_lists([[4]])) @ weight.T)[0].detach().numpy()
    logits[3] = -np.inf
    assert top.items[2] == vocabulary.ids(np.argsort(-logits)[:3] + 1)


def test_predict_and_title_embeddings_work_on_files(tmp_path):
    vocabulary = Vocabulary(f"i{k:02}" for k in range(ITEMS))
    stored = StoredModel(made_model("sasrec"), vocabulary, np.arange(ITEMS + 1, dtype=np.float32), {})
    save_model(stored, model_params("sasrec"), tmp_path / "model")
    write(tmp_path, "i.tsv", "user\titem\ttime", "u\ti01\t0", "u\tnew\t5", "v\ti02\t86400")
    write(tmp_path, "years.tsv", "item\tyear", *(f"i{k:02}\t{1960 + k}" for k in range(ITEMS)))
    write(tmp_path, "not.txt", "i05")

    def kitrec(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "kitrec.cli.main", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    done = kitrec("predict", "model", "i.tsv", "--to", "out.tsv", "--exclude", "not.txt", "--metadata", ".")
    assert done.returncode == 0, done.stderr
    assert "1 interactions with unknown items" in done.stdout
    assert f"{2 * 19} items released later excluded, for 2 users" in done.stdout
    rows = pl.read_csv(tmp_path / "out.tsv", separator="\t")
    offered = set(rows.filter(pl.col("user") == "u")["item"])
    assert offered == {f"i{k:02}" for k in range(11)} - {"i01", "i05"}
    write(
        tmp_path, "titles.tsv", "item\ttitle", *(f"i{k:02}\tred planet {'one' if k % 2 else 'two'}" for k in range(9))
    )
    (tmp_path / "years.tsv").unlink()
    done = kitrec("title-embeddings", ".", "--to", "vectors.tsv")
    assert done.returncode == 0 and "9 titles" in done.stdout, done.stderr
    done = kitrec("predict", "model", "i.tsv", "--to", "out.tsv", "--metadata", ".")
    assert done.returncode == 1 and "years.tsv is missing" in done.stderr and "Traceback" not in done.stderr


def test_predict_ranks_item_ids_from_a_model_folder(tmp_path):
    vocabulary = Vocabulary(f"i{k:02}" for k in range(ITEMS))
    stored = StoredModel(made_model("sasrec"), vocabulary, np.arange(ITEMS + 1, dtype=np.float32), {})
    save_model(stored, model_params("sasrec"), tmp_path / "run/best-000001-ndcg@10-0.1")
    user_sequences = [["i00", "i01", "unknown"], []]
    expected = predict(stored, sequences_from_lists([[1, 2], []]), 4, np.array([3]))
    for folder in (tmp_path / "run", tmp_path / "run/best-000001-ndcg@10-0.1"):
        top = predict_from(folder, user_sequences, 4, ["i02", "nobody"])
        assert top.items == expected.items
        assert np.allclose(top.scores[0], expected.scores[0], atol=1e-5)
    assert "i02" not in top.items[0] and len(predict_from(folder, user_sequences).items[0]) == 10
