"""Rankings that other params left behind are no dependency of evaluate, whatever ran before."""

import shutil

from stages import check_params
from tests.conftest import ROOT


def test_check_params_removes_rankings_that_no_stage_writes(tmp_path, monkeypatch):
    for name in ("params.yaml", "code.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)
    for name in ("stages", "kitrec"):
        (tmp_path / name).symlink_to(ROOT / name)
    for method in ("references", "sasrec", "kitrec_direct", "sasrec-oracle"):
        (tmp_path / "data/rankings" / method).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(check_params, "check_fingerprint", lambda stage: stage)  # code.yaml has a test of its own
    check_params.main()
    assert sorted(path.name for path in (tmp_path / "data/rankings").iterdir()) == ["references", "sasrec"]
    assert (tmp_path / "data/params.ok").is_file()
