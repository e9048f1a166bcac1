"""Durations of distillation, from the cost files of its stages."""

from pathlib import Path

import pytest

from kitrec.core import files
from stages.lib.distillation_cost import durations


@pytest.fixture
def write_costs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "metrics/cost").mkdir(parents=True)

    def write(**costs):
        for name, cost in costs.items():
            files.write_json(cost, Path("metrics/cost") / f"{name.replace('__', '-')}.json")

    return write


def test_a_teachers_seconds_per_user_are_the_mean_of_all_sets(write_costs):
    write_costs(
        infer_teacher__sasrec={
            "setA": {"seconds": 3.0, "records": 10},
            "setB": {"seconds": 1.0, "records": 10},
            "export_seconds": 7.0,
            "resumed": False,
        },
        train_teacher_ilora__sasrec={"seconds": 60.0},
        train_idrec__sasrec={"seconds": 12.5},
        train_student__gru={"training_seconds": 5.0, "training_seconds_per_model": [2.0, 3.0]},
    )
    assert durations("gru", "ilora-sasrec") == {
        "teacher_train_time_total": 72.5,  # with its own SASRec
        "distill_teacher_export_time": 7.0,
        "student_baseline_train_time": 5.0,
        "distill_student_train_time": None,  # never measured
        "teacher_encoder_train_time": 12.5,
        "student_baseline_train_time_per_model": [2.0, 3.0],
        "distill_student_train_time_per_model": None,
        "teacher_seconds_per_user": 0.2,
    }


def test_durations_that_a_resumed_process_measured_in_part_are_null(write_costs):
    sets = {"setA": {"seconds": 0.0, "records": 0}}
    write_costs(infer_teacher__sasrec={**sets, "export_seconds": 1.0, "resumed": True})
    times = durations("gru", "ilora-sasrec")
    assert times["teacher_seconds_per_user"] is None and times["distill_teacher_export_time"] is None
    write_costs(train_teacher_ilora__sasrec={"seconds": 5.0, "resumed": True}, make_teacher__ensemble={"resumed": True})
    for teacher in ("ilora-sasrec", "ensemble"):
        assert durations("gru", teacher)["teacher_train_time_total"] is None


def test_an_oracle_has_no_training_and_no_seconds_per_user(write_costs):
    write_costs(make_teacher__oracle={"export_seconds": 2.0, "resumed": False})
    times = durations("gru", "oracle")
    assert (times["teacher_train_time_total"], times["teacher_seconds_per_user"]) == (0.0, None)


def test_an_ensemble_is_timed_where_it_ranks_the_test(write_costs):
    write_costs(make_teacher__ensemble={"setTrain": {"seconds": 9.0, "records": 10}, "resumed": False})
    assert durations("gru", "ensemble")["teacher_seconds_per_user"] == 0.9
    write_costs(rank_teacher__ensemble={"setA": {"seconds": 1.0, "records": 10}, "resumed": False})
    assert durations("gru", "ensemble")["teacher_seconds_per_user"] == 0.1
