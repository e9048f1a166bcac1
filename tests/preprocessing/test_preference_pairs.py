import json

import polars as pl
import pytest

from kitrec.core import tables
from kitrec.preprocessing.preference_pairs import explained_pair, own_output_pair, preference_pairs
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


OUTPUT = """<think>
**Source Domain Pattern Analysis:**
Books of the sea, as Deep Water (B07FLGJWKB) is; not Deep Waters.
</think>
```json
{
  "rank": 1,
  "item_id": "B07FLGJWKB",
  "title": "Deep Water",
  "confidence_score": 9.5,
  "rationale": "Deep Water is \\"calm\\"."
}
```"""


def made_record(output):
    names = {"B07FLGJWKB": "Deep Water", "B000000001": 'The 12" Caf\u00e9', "B000000002": None}
    facts = {"categories": None, "average_rating": 4.0, "description": None}
    return {
        "record_id": "u:music:A",
        "user_id": "u",
        "target": "music",
        "gt_item_id": "B07FLGJWKB",
        "candidate_ids": list(names),
        "candidate_origins": ["truth", "given", "given"],
        "candidate_texts": [{"item_id": item, "title": title, **facts} for item, title in names.items()],
        "output": output,
    }


def test_a_records_own_output_is_chosen_and_rejected_is_the_same_with_another_candidate():
    record = made_record(OUTPUT)
    chosen, rejected = own_output_pair(record, "B000000001")
    assert chosen == OUTPUT
    thought, _, answer = rejected.partition("</think>")
    assert 'as The 12" Caf\u00e9 (B000000001) is; not Deep Waters.' in thought
    assert answer.startswith('\n```json\n{\n  "rank": 1,\n  "item_id": "B000000001",\n')
    answered = json.loads(answer.removeprefix("\n```json\n").removesuffix("\n```"))
    assert (answered["title"], answered["confidence_score"]) == ('The 12" Caf\u00e9', 9.5)
    assert answered["rationale"] == 'The 12" Caf\u00e9 is "calm".'
    assert '"title": "Unknown"' in own_output_pair(record, "B000000002")[1]


def test_the_title_that_the_answer_states_is_replaced_too():
    record = made_record(OUTPUT.replace("Deep Water", "Deep Water (Live)"))
    _, rejected = own_output_pair(record, "B000000002")
    assert "Deep Water (Live)" not in rejected and '"title": "Unknown"' in rejected


@pytest.mark.parametrize("output", [None, "", "<think>\nB07FLGJWKB\n</think>\n{}"])
def test_without_an_own_output_that_names_the_ground_truth_there_is_no_pair(output):
    assert own_output_pair(made_record(output), "B000000001") is None
    records = pl.DataFrame([made_record(output), {**made_record(OUTPUT), "record_id": "v:music:A"}])
    pairs = preference_pairs(7, records, own_output_pair)
    assert pairs["record_id"].to_list() == ["v:music:A"] and pairs["chosen_output"].to_list() == [OUTPUT]
