"""dvc.yaml against the code: a stage declares what it reaches and reads, all of it and nothing else."""

import ast
import re
from dataclasses import is_dataclass
from typing import get_args, get_type_hints

import pytest
from ruamel.yaml import YAML

from kitrec.config.sections import SECTIONS
from kitrec.core.domains import Domains
from stages.lib import dvcfile
from stages.lib.fingerprints import reached_files
from tests.conftest import ROOT

STAGES = dvcfile.stages()
SCRIPTS = dvcfile.stage_scripts()
TREE = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]
PARAMS = YAML(typ="safe").load((ROOT / "params.yaml").read_text())


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_its_own_code_by_fingerprint_alone(stage):
    assert STAGES[stage]["params"][0] == {"code.yaml": [stage]}
    assert not [dep for dep in data_deps(stage) if dep.startswith(("kitrec", "stages"))]


def data_deps(stage: str) -> list[str]:
    """The files and folders a stage lists as dependencies."""
    return [str(dep) for dep in STAGES[stage].get("deps", [])]


def section_params(stage: str) -> list[str]:
    """The keys of params.yaml a stage lists; check_params lists the whole file."""
    return [name for name in STAGES[stage]["params"] if isinstance(name, str)]


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
    if "params.yaml" in STAGES[stage].get("deps", []):
        assert "validate_params()" in (ROOT / SCRIPTS[stage]).read_text()
        return
    each = [
        re.sub(r"\$\{item(\.student)?\}", "${key}", name) for name in section_params(stage)
    ]  # over a list, a map, a matrix
    assert sorted(each) == sorted(params_read(SCRIPTS[stage]))


def test_every_section_is_listed_by_a_stage_or_used_in_dvc_yaml():
    declared = {name.split(".")[0] for stage in STAGES for name in section_params(stage)}
    used = set(re.findall(r"\$\{(\w+)\.", (ROOT / "dvc.yaml").read_text())) - {"item"}
    assert set(PARAMS) == set(SECTIONS) == declared | used


HEAVY = {"torch", "vllm", "transformers", "peft", "trl", "bitsandbytes"}


def libraries(script: str) -> set[str]:
    """Other projects' packages that a stage's code imports anywhere."""
    names = set()
    for path in reached_files(script):
        for node in ast.walk(ast.parse((ROOT / path).read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.partition(".")[0])
    return names


GPU_STAGES = [stage for stage in STAGES if libraries(SCRIPTS[stage]) & HEAVY]


def test_the_list_of_gpu_stages_is_derived_and_whole():
    assert {"train_dualft", "infer_vllm", "score_candidates", "train_idrec", "infer_thinkrec"} < set(GPU_STAGES)
    assert not {"prepare", "parse_answers", "evaluate", "analyse", "rank_references"} & set(GPU_STAGES)


@pytest.mark.parametrize("stage", GPU_STAGES)
def test_a_gpu_stage_reaches_no_evaluation_and_no_report(stage):
    for room in ("evaluation", "report", "cli", "config", "llm_judge", "hub"):
        assert not [path for path in reached_files(SCRIPTS[stage]) if path.startswith(f"kitrec/{room}/")], room


@pytest.mark.parametrize("stage", GPU_STAGES)
def test_a_gpu_stage_lists_no_param_of_what_comes_after_it(stage):
    assert not [name for name in section_params(stage) if name.split(".")[0] in ("evaluation", "judge")]


@pytest.mark.parametrize("stage", ["evaluate", "analyse", "judge"])
def test_from_rankings_on_no_stage_knows_which_model_made_them(stage):
    listed = {name.split(".")[0] for name in section_params(stage)}
    assert listed <= {"seed", "domains", "users", "data", "evaluation", "judge"}  # of data, none of a model
    rooms = ("llm", "recommenders", "ilora", "distillation", "thinkrec")
    assert not [path for path in reached_files(SCRIPTS[stage]) if path.split("/")[1] in rooms]


def modules_of(hint: object) -> set[str]:
    """The modules that define a section's dataclass and those it is made of."""
    modules = {hint.__module__} if isinstance(hint, type) and is_dataclass(hint) else set()
    inner = get_type_hints(hint).values() if modules else get_args(hint)
    return modules.union(*(modules_of(part) for part in inner))


# Sections whose classes a stage uses although their values come to it by a file or by another section.
BORROWED = {
    "build_base": {"users", "candidates", "source", "data"},  # rehearsal worlds are sampled as real ones are
    "train_teacher_ilora": {"prompt"},  # its prompts are rendered and tokenised by the code of all prompts
    "infer_teacher": {"prompt"},
    "examine_teacher": {"prompt", "ilora"},  # ilora: stored beside the teacher's weights
    "train_titles": {"prompt"},  # the loss and the tokenisation of all prompts
    "rank_titles": {"prompt", "titles"},  # titles: stored beside the model's weights
}
PINNED = "base"  # every user of the base gets it from models/base/base.json or served.json


@pytest.mark.parametrize("stage", GPU_STAGES)
def test_a_gpu_stage_reaches_no_section_of_another_stage(stage):
    """A new key of a section changes the code of its params module: it must not retrain what does not read it.

    Domains are no settings of a stage: their names are part of the data, and their module has the user types too."""
    listed = {name.split(".")[0] for name in section_params(stage)} | BORROWED.get(stage, set()) | {PINNED}
    allowed = set().union(*(modules_of(SECTIONS[name]) for name in listed))
    homes = {cls.__module__: name for name, cls in SECTIONS.items() if cls not in (int, Domains)}
    reached = {path.removesuffix(".py").replace("/", ".") for path in reached_files(SCRIPTS[stage])}
    assert {module: name for module, name in homes.items() if module in reached - allowed} == {}


def test_every_out_is_read_by_a_later_stage_or_is_a_result():
    deps = [plain(dep) for stage in STAGES for dep in data_deps(stage)]
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
        deps = data_deps(stage)
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
