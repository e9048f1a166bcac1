"""What a user costs, and what students keep, from ledgers worked by hand."""

import polars as pl
import pytest
from kitrec.report.serving_costs import seconds_per_user

from kitrec.report.sections import students

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
COMPARED = {"baseline": 0.125, "distilled": 0.15, "relative_gain": 0.2, "p_value": 0.00123}


def test_a_method_costs_what_all_its_stages_took_and_a_student_what_its_largest_batch_took():
    assert seconds_per_user(LEDGERS, TIMES, "setA", users=20) == pytest.approx(
        {"kitrec_full": 4.0, "ilora-sasrec": 2.0, "thinkrec-groups": 0.5, "gru4rec-ilora-sasrec": 0.0005}
    )


def test_a_student_keeps_a_share_of_its_teacher_at_a_fraction_of_its_cost():
    rows = [("ilora-sasrec", 0.4), ("gru4rec-ilora-sasrec", 0.3), ("oracle", 0.8), ("gru4rec-oracle", 0.5)]
    cells = pl.DataFrame(
        [{"method": m, "mean": v, "stratum": "all", "metric": "ndcg@10", "kind": "scored"} for m, v in rows]
    )
    paces = seconds_per_user(LEDGERS, TIMES | {"gru4rec-oracle": TIMES["gru4rec-ilora-sasrec"]}, "setA", users=20)
    compared = {pair: {"ndcg@20": COMPARED} for pair in ("gru4rec-ilora-sasrec", "gru4rec-oracle", "caser-gone")}
    assert students(cells, compared, paces).rows == [
        ["gru4rec-ilora-sasrec", "0.1250", "0.1500", "+20.0%", "0.0012", "0.300", "75%", "4,000"],
        ["gru4rec-oracle", "0.1250", "0.1500", "+20.0%", "0.0012", "0.500", "62%", "–"],
    ]
