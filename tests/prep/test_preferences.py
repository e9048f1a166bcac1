from kitrec import tables
from kitrec.contracts.preferences import PREFERENCES
from kitrec.prep.preferences import pairs


def test_the_truth_is_chosen_over_a_hard_negative(dataset, tmp_path):
    records = dataset.records["A"]["preference"]
    drawn = pairs(7, records)
    tables.write(drawn, tmp_path / "pairs.parquet", PREFERENCES)  # the contract holds
    assert drawn.height == records.height
    by_record = {row["record_id"]: row for row in records.iter_rows(named=True)}
    for pair in drawn.iter_rows(named=True):
        record = by_record[pair["record_id"]]
        assert pair["chosen"] == record["gt_item_id"] != pair["rejected"]
        origin = record["candidate_origins"][record["candidate_ids"].index(pair["rejected"])]
        assert origin == pair["rejected_origin"]
        if record["candidate_origins"].count("neighbour"):
            assert origin == "neighbour"


def test_pairs_depend_on_the_record_alone(dataset):
    records = dataset.records["B"]["preference"]
    assert pairs(7, records.reverse()).reverse().equals(pairs(7, records))
    assert not pairs(8, records).equals(pairs(7, records))
