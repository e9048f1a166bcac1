"""Runs kept in bench/results are those of today's settings, under today's names."""

from dataclasses import asdict, replace
from pathlib import Path

import pytest

from bench import cdr_settings, quality_cdr, quality_seqrec, seqrec_settings
from bench.running import kept
from kitrec.core.errors import InputError

CDR_RUNS = sorted(quality_cdr.RUNS.glob("*/*.json"))
SEQREC_RUNS = sorted(quality_seqrec.RUNS.glob("*/*.json"))
ANY_USERS = 0  # their number only sizes `bert4rec_preset`, of which no run is kept


def setting_name(path: Path) -> str:
    return path.stem.rpartition("-")[0]


def test_there_are_kept_runs():
    assert CDR_RUNS
    assert SEQREC_RUNS


@pytest.mark.parametrize("path", CDR_RUNS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_kept_cross_domain_run_counts(path):
    assert kept(path, cdr_settings.kept_setting(setting_name(path)))


@pytest.mark.parametrize("path", SEQREC_RUNS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_kept_sequence_run_counts(path):
    p = seqrec_settings.setting(setting_name(path), ANY_USERS)
    assert kept(path, asdict(p))


def test_a_run_of_another_setting_is_refused():
    path = SEQREC_RUNS[0]
    p = seqrec_settings.setting(setting_name(path), ANY_USERS)
    with pytest.raises(InputError, match="another setting"):
        kept(path, asdict(replace(p, training=replace(p.training, epochs=p.training.epochs + 1))))
