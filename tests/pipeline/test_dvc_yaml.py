"""dvc.yaml against the code: a stage declares what it reaches and reads, all of it and nothing else."""

import ast
import re
from dataclasses import fields, is_dataclass
from typing import get_args, get_type_hints

import pytest
from ruamel.yaml import YAML

from kitrec.config import profiles
from stages.lib import dvcfile
from stages.lib.reach import reached_files
from tests.conftest import ROOT

STAGES = dvcfile.stages()
SCRIPTS = dvcfile.stage_scripts()
GPU_STAGES = ("train_dualft", "train_singleft", "infer_vllm")
TREE = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]
PARAMS = YAML(typ="safe").load((ROOT / "params.yaml").read_text())


@pytest.mark.parametrize("stage", STAGES)
def test_code_deps_are_exactly_what_the_script_reaches(stage):
    declared, reached = dvcfile.code_deps(STAGES[stage]), reached_files(SCRIPTS[stage])
    assert sorted(declared) == sorted(reached), "run `python -m stages.lib.dvcfile --write`"


RESULTS = (
    "metrics/",
    "plots/",
    "data/scores",
    "data/preferences",
    "data/rejects",
    "data/rationales",
    "data/analysis",
    "data/judge",
    "data/serving",
)  # for people, and for what they do next


def params_read(script: str) -> set[str]:
    """The dotted names a stage's own files hand to params.load and params.value."""
    names = set()
    for path in reached_files(script):
        if not path.startswith("stages/"):
            continue
        for node in ast.walk(ast.parse((ROOT / path).read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {"params.load", "params.value"}:
                names.add(
                    ast.unparse(node.args[1])
                    .strip("f'\"")
                    .replace("{method}", "${key}")
                    .replace("{student}", "${key}")
                    .replace("{stage}", "${key}")
                )
    return names


@pytest.mark.parametrize("stage", STAGES)
def test_declared_params_are_exactly_those_read(stage):
    declared = STAGES[stage].get("params", [])
    if declared == [{"params.yaml": None}]:
        assert "profiles.check()" in (ROOT / SCRIPTS[stage]).read_text()
        return
    each = [re.sub(r"\$\{item(\.student)?\}", "${key}", name) for name in declared]  # over a list, a map, a matrix
    assert sorted(each) == sorted(params_read(SCRIPTS[stage]))


def test_every_param_has_a_reader():
    """Sections are declared by a stage or used in dvc.yaml; every key of a section is read somewhere in the code."""
    text = (ROOT / "dvc.yaml").read_text()
    declared = {str(p).split(".")[0] for body in STAGES.values() for p in body.get("params", []) if isinstance(p, str)}
    used = set(re.findall(r"\$\{(\w+)\.", text)) - {"item"}
    assert set(PARAMS) == set(profiles.SECTIONS) == declared | used
    code = "\n".join(p.read_text() for folder in ("kitrec", "stages") for p in (ROOT / folder).rglob("*.py"))
    for name, cls in profiles.SECTIONS.items():
        for key in keys_of(cls):
            templated = re.search(rf"\$\{{(item|{name})\.{key}\}}", text)
            assert re.search(rf"\.{key}\b", code) or templated, f"{name}.{key} has no reader"


def keys_of(cls: type) -> list[str]:
    """All keys of a section, those of nested sections included."""
    if not is_dataclass(cls):
        return []
    found = []
    for name, hint in get_type_hints(cls).items():
        found.append(name)
        for inner in (hint, *get_args(hint)):
            found += keys_of(inner) if isinstance(inner, type) else []
    assert {f.name for f in fields(cls)} <= set(found)
    return found


@pytest.mark.parametrize("stage", GPU_STAGES)
def test_a_gpu_stage_reaches_no_report_no_evaluation_and_no_foreign_section(stage):
    reached = reached_files(SCRIPTS[stage])
    for room in ("report", "evaluation", "cli", "parsing", "tinybase", "config", "synthetic"):
        assert not [path for path in reached if path.startswith(f"kitrec/{room}/")], room


@pytest.mark.parametrize("stage", ["train_thinkrec", "infer_thinkrec"])
def test_the_stages_of_thinkrec_that_need_a_gpu_reach_nothing_that_interprets_results(stage):
    reached = reached_files(SCRIPTS[stage])
    for room in ("evaluation", "report", "llm_judge"):
        assert not [path for path in reached if path.startswith(f"kitrec/{room}/")], room
    assert not [name for name in STAGES[stage]["params"] if name.startswith(("evaluation", "report", "judge"))]


def test_every_out_is_read_by_a_later_stage_or_is_a_result():
    deps = [plain(str(dep)) for body in STAGES.values() for dep in body["deps"]]
    for name, body in STAGES.items():
        for out in body["outs"]:
            path = plain(out if isinstance(out, str) else next(iter(out)))
            read = any(path.startswith(dep) or dep.startswith(path) for dep in deps)
            assert read or path.startswith(RESULTS), f"{name}: nobody reads {path}"


def plain(path: str) -> str:
    """A path with its template parts cut off."""
    return path.partition("${")[0]


def test_training_never_sees_test_records():
    learning = [name for name in STAGES if name.startswith(("train_", "distill_", "make_teacher"))]
    assert {"train_dualft", "train_idrec", "train_teacher_ilora", "train_student", "train_thinkrec"} < set(learning)
    for stage in learning:
        deps = [str(d) for d in STAGES[stage]["deps"] if not str(d).startswith(("kitrec/", "stages/"))]
        knows = "test" if stage == "make_teacher" else "(test|world)"  # an oracle knows the world
        assert deps and not [d for d in deps if re.search(knows, d)], stage


def test_no_script_of_training_names_the_test():
    """Deps are declared by hand; a path of the test in the code would be read all the same."""
    for stage in (name for name in STAGES if name.startswith(("train_", "distill_", "make_teacher"))):
        for path in story(SCRIPTS[stage]):
            tree = ast.parse((ROOT / path).read_text())
            words = [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
            assert "test" not in words, path


def test_costs_are_kept_apart_from_what_is_compared():
    for name, body in STAGES.items():
        ledgers = [path for out in body["outs"] if isinstance(out, dict) for path in out if "metrics/cost/" in path]
        measured = "runner.running(" in "".join((ROOT / path).read_text() for path in story(SCRIPTS[name]))
        assert len(ledgers) == (1 if measured else 0), name
        assert not [m for m in body.get("metrics", []) if next(iter(m)).startswith("metrics/cost")]


def story(script: str) -> list[str]:
    """The stage's own files, without the entry that all share."""
    return [path for path in reached_files(script) if path.startswith("stages/") and path != "stages/lib/runner.py"]


def test_stage_names_are_readable_strings():
    from dvc.repo import Repo

    names = {stage.addressing for stage in Repo(str(ROOT)).index.stages}
    assert {"train_dualft@movies-full", "train_singleft@music-full", "infer_vllm@kitrec_full"} <= names
    assert all(re.fullmatch(r"[a-z_]+(@[a-z0-9_]+(-[a-z_]+)?)?", name) for name in names)
