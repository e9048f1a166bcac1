from kitrec.core import tables
from kitrec.preprocessing.preference_pairs import explained_pair, preference_pairs
from kitrec.schemas.preferences import PREFERENCES


def made_output(record):
    return f"{record['record_id']} -> {record['gt_item_id']}"


def test_the_ground_truth_is_chosen_over_a_hard_negative(dataset, tmp_path):
    records = dataset.records["A"]["preference"]
    drawn = preference_pairs(7, records, explained_pair(made_output))
    tables.write(drawn, tmp_path / "pairs.parquet", PREFERENCES)  # the schema holds
    assert drawn.height == records.height
    by_record = {row["record_id"]: row for row in records.iter_rows(named=True)}
    for pair in drawn.iter_rows(named=True):
        record = by_record[pair["record_id"]]
        assert pair["chosen"] == record["gt_item_id"] != pair["rejected"]
        assert pair["chosen_output"] == f"{pair['record_id']} -> {pair['chosen']}"
        assert pair["rejected_output"] == f"{pair['record_id']} -> {pair['rejected']}"
        origin = record["candidate_origins"][record["candidate_ids"].index(pair["rejected"])]
        assert origin == pair["rejected_origin"]
        if record["candidate_origins"].count("neighbour"):
            assert origin == "neighbour"


def test_pairs_depend_on_the_record_alone(dataset):
    records = dataset.records["B"]["preference"]
    pairs = preference_pairs(7, records, explained_pair(made_output))
    assert preference_pairs(7, records.reverse(), explained_pair(made_output)).reverse().equals(pairs)
    assert not preference_pairs(8, records, explained_pair(made_output)).equals(pairs)
