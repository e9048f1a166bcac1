import numpy as np

from kitrec.llm.likelihood.candidate_orders import permuted, unpermuted


def test_ids_and_origins_are_permuted_together_and_scores_are_restored(dataset):
    records = dataset.records["A"]["test"].head(5)
    same, _ = permuted(records, 0, seed=1)
    assert same.equals(records)
    for number in (1, 2):
        moved, orders = permuted(records, number, seed=1)
        for old, new in zip(records.iter_rows(named=True), moved.iter_rows(named=True), strict=True):
            pairs = [set(zip(row["candidate_ids"], row["candidate_origins"], strict=True)) for row in (old, new)]
            assert pairs[0] == pairs[1] and old["candidate_ids"] != new["candidate_ids"]
        names = [{item: k for k, item in enumerate(ids)} for ids in records["candidate_ids"].to_list()]
        scores = [np.array([name[i] for i in ids]) for name, ids in zip(names, moved["candidate_ids"], strict=True)]
        assert all((row == np.arange(20)).all() for row in unpermuted(scores, orders))
    assert not permuted(records, 1, seed=1)[0].equals(permuted(records, 2, seed=1)[0])
