import polars as pl

from kitrec.core import tables
from kitrec.evaluation.comparisons import requested_items
from kitrec.parsing.rankings import answer_statistics, rank_answers, rank_likelihoods
from kitrec.schemas.answers import ANSWERS
from kitrec.schemas.likelihoods import LIKELIHOODS
from kitrec.schemas.rankings import RANKINGS


def test_every_answer_becomes_a_ranking_and_every_failure_is_counted(dataset, tmp_path):
    records = dataset.records["A"]["test"].head(4)
    ids = records["candidate_ids"].to_list()
    texts = [f'{{"item_id": "{ids[0][5]}"}}', "nothing", None, '{"item_id": "INVENTED"}']
    finish = ["stop", "length", None, "stop"]
    answers = pl.DataFrame(
        {
            "method": ["m"] * 4,
            "record_id": records["record_id"],
            "notes": [[]] * 4,
            "prompt_hash": ["h"] * 4,
            "adapter": [None] * 4,
            "text": texts,
            "prompt_tokens": [1, 2, 3, 4],
            "source_items": [4, 4, 4, 0],
            "target_items": [0, 1, 0, 0],
            "shortened": [[], ["summaries"], [], []],
            "answer_tokens": [1] * 4,
            "finish_reason": finish,
            "error": [None, None, "prompt_too_long", None],
        },
        schema=dict(ANSWERS.columns),
    )
    rankings = rank_answers(answers, records, answer_items=10)
    tables.write(rankings, tmp_path / "r.parquet", RANKINGS)
    assert rankings["status"].to_list() == ["ok", "no_json", "no_answer", "no_candidate"]
    assert rankings["item_ids"].to_list() == [[ids[0][5]], [], [], ["INVENTED"]]
    assert rankings["candidate_hash"].equals(records["candidate_hash"])
    assert requested_items(rankings) == {"m": 10}
    statistics = answer_statistics(rankings, answers, answer_items=10)
    assert statistics["n"] == 4 and statistics["cut_share"] == 0.25 and statistics["invented_id_share"] == 0.25
    assert statistics["shortened_prompt_share"] == 0.25 and statistics["answer_items"] == 10
    assert sum(statistics["status"].values()) == 1.0
    assert statistics["prompt_contents"] == {
        "source_items": 3.0,
        "target_items": 0.25,
        "notes": 0.0,
        "prompt_tokens": 2.5,
    }


def test_likelihoods_rank_every_candidate_and_a_record_without_any_ranks_none(dataset, tmp_path):
    records = dataset.records["A"]["test"].head(3)
    values = [[-float(k) for k in range(20)], None, [-1.0] * 20]
    likelihoods = pl.DataFrame(
        {
            "method": ["m"] * 3,
            "record_id": records["record_id"],
            "prompt_hash": ["h"] * 3,
            "loglik": values,
            "tokens": [[3] * 20, None, [3] * 20],
            "error": [None, "prompt_too_long", None],
        },
        schema=dict(LIKELIHOODS.columns),
    ).reverse()
    rankings = rank_likelihoods(likelihoods, records)
    tables.write(rankings, tmp_path / "r.parquet", RANKINGS)
    by_record = {row["record_id"]: row for row in rankings.iter_rows(named=True)}
    first, second, third = (by_record[record] for record in records["record_id"])
    assert first["item_ids"] == records["candidate_ids"][0].to_list() and first["scores"] == values[0]
    assert second["item_ids"] == [] and second["status"] == "no_answer"
    assert third["scores"] == [-1.0] * 20 and {r["kind"] for r in by_record.values()} == {"scored"}
