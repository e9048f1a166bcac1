"""`-S data.candidate_set=B` trains and asks again what depends on the set, and nothing else: by DVC's own reading."""

import shutil
from pathlib import Path

import pytest
from dvc.dependency.param import ParamsDependency
from dvc.repo import Repo

from tests.conftest import ROOT


def stages_of(folder: Path):
    """Return name -> (paths read, paths written, params) of every stage."""
    found = {}
    for stage in Repo(str(folder)).index.stages:
        params = {name for d in stage.deps if isinstance(d, ParamsDependency) for name in d.params}
        reads = {d.def_path for d in stage.deps if not isinstance(d, ParamsDependency)}
        found[stage.name] = (reads, {out.def_path for out in stage.outs}, params)
    return found


@pytest.fixture(scope="module")
def run_again(tmp_path_factory):
    """The stages that set B runs again after a run on set A, with what follows from them."""
    graphs = {}
    for which in "AB":
        folder = tmp_path_factory.mktemp(which)
        for name in ("params.yaml", "dvc.yaml", "code.yaml"):
            shutil.copy(ROOT / name, folder)
        text = (folder / "params.yaml").read_text()
        (folder / "params.yaml").write_text(text.replace("candidate_set: A", f"candidate_set: {which}"))
        Repo.init(str(folder), no_scm=True).close()
        graphs[which] = stages_of(folder)
    changed = {name for name, (reads, _, params) in graphs["B"].items() if "data.candidate_set" in params}
    changed |= {name for name, (reads, _, _) in graphs["B"].items() if reads != graphs["A"][name][0]}
    while True:
        written = {
            out for name in changed for out in graphs["B"][name][1] if not out.startswith(("metrics/", "plots/"))
        }
        more = {name for name, (reads, _, _) in graphs["B"].items() if _overlap(reads, written)} - changed
        if not more:
            return changed
        changed |= more


def _overlap(reads: set[str], written: set[str]) -> bool:
    return any(a == b or a.startswith(f"{b}/") or b.startswith(f"{a}/") for a in reads for b in written)


def test_adapters_and_their_answers_are_made_anew(run_again):
    trainings = {
        f"{stage}@{target}-full" for stage in ("train_dualft", "train_singleft") for target in ("movies", "music")
    }
    answers = {f"{stage}@kitrec_full" for stage in ("infer_vllm", "score_candidates", "parse_answers")}
    assert trainings | answers | {"evaluate", "analyse"} <= run_again


def test_what_does_not_learn_from_the_set_keeps_its_results(run_again):
    """The base's answers cover both test sets, and recommenders over item ids see no candidate in training. Probes look
    at records of the set."""
    kept = {name for name in run_again if not name.startswith("probe_")}
    assert not {name for name in kept if "base_direct" in name or "sasrec" in name}
    assert not run_again & {"check_params", "prepare", "pin_base", "build_base", "rank_references"}
