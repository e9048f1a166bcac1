"""The house rules that can be read off the files."""

import ast
import re
from pathlib import Path

import pytest

from stages.lib.dvcfile import stage_scripts
from tests.conftest import ROOT

ORDER = """core datasets schemas openai_client prompts preprocessing synthetic sources training parsing evaluation
    llm_judge llm recommenders distillation ilora thinkrec titles report run hub onnx tinybase config cli""".split()
# Rooms that models must not feed, and that feed no model: what each of them may import.
APART = {
    "parsing": {"core", "schemas"},
    "evaluation": {"core", "schemas"},
    "report": {"core"},
    "openai_client": {"core"},
    "datasets": {"core"},
    "llm_judge": {"core", "schemas", "prompts", "evaluation", "openai_client"},
    "recommenders": {"core", "schemas", "training"},
    "llm": {"core", "schemas", "prompts", "training", "parsing"},
}


def library() -> list[Path]:
    return sorted((ROOT / "kitrec").rglob("*.py"))


def room(path: Path) -> str:
    return path.relative_to(ROOT / "kitrec").parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    """The packages (or top-level modules) of kitrec a file imports from."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        found |= {name.split(".")[1] for name in names if name.startswith("kitrec.")}
    return found


def test_every_room_has_its_place_in_the_order():
    assert {room(path) for path in library()} - {"__init__"} == set(ORDER)


@pytest.mark.parametrize("path", library(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_one_way(path):
    name = room(path)
    if name == "__init__":
        return
    rooms = imported_rooms(path) - {name}
    allowed = APART.get(name, set(ORDER[: ORDER.index(name)]))
    assert rooms <= allowed, f"{name} may not import {rooms - allowed}"


def test_the_library_knows_no_stages_and_no_command_line():
    for path in library():
        text = path.read_text()
        assert not re.search(r"^\s*(from|import) stages\b", text, re.MULTILINE), path
        assert path == ROOT / "kitrec/cli/main.py" or "sys.argv" not in text, path


@pytest.mark.parametrize("script", sorted(set(stage_scripts().values())))
def test_a_stage_script_is_short_and_opens_with_purpose_command_and_files(script):
    text = (ROOT / script).read_text()
    doc = ast.get_docstring(ast.parse(text)) or ""
    assert text.count("\n") <= 80
    assert f"python -m {script.removesuffix('.py').replace('/', '.')}" in doc
    assert "Reads " in doc and " writes " in " ".join(doc.split())


@pytest.mark.parametrize("path", [*library(), *sorted((ROOT / "stages").glob("*.py"))], ids=lambda p: p.name)
def test_files_and_functions_stay_small(path):
    text = path.read_text()
    assert text.count("\n") <= 300
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 50, node.name


def test_packages_have_empty_init_files():
    """That of kitrec itself names the public functions (tests/test_public_names.py)."""
    assert all(not path.read_text() for path in (ROOT / "kitrec").glob("*/**/__init__.py"))


def test_nothing_unsafe_is_loaded():
    calls = r"(?<![.\w])(eval|exec)\("
    loads = r"(?<!allow_)pickle|allow_pickle=(?!False)|torch\.load(?!\(.*weights_only=True\))"
    unsafe = re.compile(rf"trust_remote_code\s*=\s*True|{loads}|{calls}")
    for path in [*library(), *(ROOT / "stages").glob("*.py")]:
        if path == ROOT / "kitrec/datasets/plain_objects.py":  # the reader that refuses every name: the next test
            continue
        for line in path.read_text().splitlines():
            assert not unsafe.search(line), f"{path}: {line}"


def test_the_one_reader_of_serialised_objects_uses_only_the_interpreter_that_refuses_names():
    tree = ast.parse((ROOT / "kitrec/datasets/plain_objects.py").read_text())
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "pickle"
    }
    assert used == {"_Unpickler", "UnpicklingError"}
    (reader,) = (node for node in tree.body if isinstance(node, ast.ClassDef))
    refused = {method.name: method.body[-1] for method in reader.body if isinstance(method, ast.FunctionDef)}
    assert refused.keys() == {"find_class", "persistent_load", "get_extension"}
    assert all(isinstance(last, ast.Raise) for last in refused.values())


def test_no_broad_except_without_a_reason():
    for path in [*library(), *(ROOT / "stages").glob("*.py")]:
        for line in path.read_text().splitlines():
            if re.search(r"except( Exception| BaseException)?:", line):
                assert "#" in line, f"{path}: {line}"


def test_few_files_hold_less_than_forty_lines_with_a_single_public_name():
    """A file deserves its door: what has an obvious home stands there."""

    def public_names(tree: ast.Module) -> list[str]:
        names = []
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                names.append(node.name)
            elif isinstance(node, ast.Assign):
                names += [target.id for target in node.targets if isinstance(target, ast.Name)]
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                names.append(node.target.id)
        return [name for name in names if not name.startswith("_")]

    thin = [
        str(path.relative_to(ROOT))
        for path in library()
        if path.name != "__init__.py"
        and path.read_text().count("\n") < 40
        and len(public_names(ast.parse(path.read_text()))) <= 1
    ]
    assert len(thin) <= 15, thin
