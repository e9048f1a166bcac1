"""Cost per user and relative quality of students, from made ledgers."""

import polars as pl
import pytest

from kitrec.report.cost_sections import inference_seconds, students

LEDGERS = {
    "infer_vllm-kitrec_full": {"resumed": False, "setA": {"seconds": 60.0}, "setB": {"seconds": 1.0}},
    "score_candidates-kitrec_full": {"resumed": False, "setA": {"seconds": 20.0}},
    "infer_idrec-sasrec": {"resumed": True, "setA": {"seconds": 1.0}},
    "infer_teacher-sasrec": {"resumed": False, "setA": {"seconds": 40.0, "records": 20}},
    "infer_thinkrec-groups": {"resumed": False, "setA": {"seconds": 10.0}},
    "prepare": {"resumed": False},
}
TIMES = {
    "gru4rec-ilora-sasrec": {
        "student_latency": [{"batch": 1, "users_per_second": 100.0}, {"batch": 256, "users_per_second": 2000.0}]
    }
}
COMPARED = {"baseline": 0.125, "distilled": 0.15, "relative_gain": 0.2, "p_permutation": 1e-5}
COMPARED |= {"difference": 0.0125, "p_users_and_trainings": 0.00123}
ON_CANDIDATES = {"ndcg@10": COMPARED | {"p_users_and_trainings": None}}


def test_a_method_costs_the_time_of_its_stages_and_a_student_that_of_its_largest_batch():
    assert inference_seconds(LEDGERS, TIMES, "setA", users=20) == pytest.approx(
        {"kitrec_full": 4.0, "ilora-sasrec": 2.0, "thinkrec-groups": 0.5, "gru4rec-ilora-sasrec": 0.0005}
    )


def test_students_are_compared_with_their_teachers_in_quality_and_cost():
    rows = [("ilora-sasrec", 0.4), ("gru4rec-ilora-sasrec", 0.3), ("oracle", 0.8), ("gru4rec-oracle", 0.5)]
    means = pl.DataFrame(
        [{"method": m, "mean": v, "stratum": "all", "metric": "ndcg@10", "kind": "scored"} for m, v in rows]
    )
    seconds = inference_seconds(LEDGERS, TIMES | {"gru4rec-oracle": TIMES["gru4rec-ilora-sasrec"]}, "setA", users=20)
    compared = {
        pair: {"ndcg@20": COMPARED, "setA": ON_CANDIDATES}
        for pair in ("gru4rec-ilora-sasrec", "gru4rec-oracle", "caser-gone")
    }
    on_candidates = ["+0.0125", "1e-05 (users alone)"]
    assert students(means, compared, "setA", seconds).rows == [
        ["gru4rec-ilora-sasrec", "0.1250", "0.1500", "+20.0%", "0.0012", *on_candidates, "0.300", "75%", "4,000"],
        ["gru4rec-oracle", "0.1250", "0.1500", "+20.0%", "0.0012", *on_candidates, "0.500", "62%", "–"],
    ]
