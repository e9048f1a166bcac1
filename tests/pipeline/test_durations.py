"""What distillation cost, out of the ledgers of its stages."""

from pathlib import Path

import pytest

from kitrec.core import files
from stages.lib.distillation_cost import durations


@pytest.fixture
def ledgers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "metrics/cost").mkdir(parents=True)

    def write(**own):
        for name, ledger in own.items():
            files.write_json(ledger, Path("metrics/cost") / f"{name.replace('__', '-')}.json")

    return write


def test_a_teachers_time_of_a_reader_is_that_of_all_sets(ledgers):
    ledgers(
        infer_teacher__sasrec={
            "setA": {"seconds": 3.0, "records": 10},
            "setB": {"seconds": 1.0, "records": 10},
            "export_seconds": 7.0,
            "resumed": False,
        },
        train_teacher_ilora__sasrec={"seconds": 60.0},
        train_student__gru={"training_seconds": 5.0},
    )
    assert durations("gru", "ilora-sasrec") == {
        "teacher_train_time_total": 60.0,
        "distill_teacher_export_time": 7.0,
        "student_baseline_train_time": 5.0,
        "distill_student_train_time": None,  # nobody measured it
        "teacher_seconds_per_user": 0.2,
    }


def test_what_a_resumed_process_did_not_time_is_not_told(ledgers):
    sets = {"setA": {"seconds": 0.0, "records": 0}}
    ledgers(infer_teacher__sasrec={**sets, "export_seconds": 1.0, "resumed": True})
    found = durations("gru", "ilora-sasrec")
    assert found["teacher_seconds_per_user"] is None and found["distill_teacher_export_time"] is None
    ledgers(train_teacher_ilora__sasrec={"seconds": 5.0, "resumed": True}, make_teacher__ensemble={"resumed": True})
    for teacher in ("ilora-sasrec", "ensemble"):
        assert durations("gru", teacher)["teacher_train_time_total"] is None


def test_an_oracle_is_neither_trained_nor_asked(ledgers):
    ledgers(make_teacher__oracle={"export_seconds": 2.0, "resumed": False})
    found = durations("gru", "oracle")
    assert (found["teacher_train_time_total"], found["teacher_seconds_per_user"]) == (0.0, None)


def test_an_ensemble_is_timed_where_it_ranks_the_test(ledgers):
    ledgers(make_teacher__ensemble={"setTrain": {"seconds": 9.0, "records": 10}, "resumed": False})
    assert durations("gru", "ensemble")["teacher_seconds_per_user"] == 0.9
    ledgers(rank_teacher__ensemble={"setA": {"seconds": 1.0, "records": 10}, "resumed": False})
    assert durations("gru", "ensemble")["teacher_seconds_per_user"] == 0.1
