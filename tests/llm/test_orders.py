import numpy as np

from kitrec.llm.likelihood.candidate_orders import reordered, restored


def test_an_order_moves_ids_and_origins_together_and_scores_find_their_way_back(dataset):
    records = dataset.records["A"]["test"].head(5)
    same, _ = reordered(records, 0, seed=1)
    assert same.equals(records)
    for number in (1, 2):
        moved, places = reordered(records, number, seed=1)
        for old, new in zip(records.iter_rows(named=True), moved.iter_rows(named=True), strict=True):
            pairs = [set(zip(row["candidate_ids"], row["candidate_origins"], strict=True)) for row in (old, new)]
            assert pairs[0] == pairs[1] and old["candidate_ids"] != new["candidate_ids"]
        names = [{item: k for k, item in enumerate(ids)} for ids in records["candidate_ids"].to_list()]
        scores = [np.array([name[i] for i in ids]) for name, ids in zip(names, moved["candidate_ids"], strict=True)]
        assert all((own == np.arange(20)).all() for own in restored(scores, places))
    assert not reordered(records, 1, seed=1)[0].equals(reordered(records, 2, seed=1)[0])
