"""dvc.yaml as data, its comments kept: which script each stage runs, and the code files it lists.

python -m stages.lib.dvcfile            show the code files of each stage
python -m stages.lib.dvcfile --write    bring the code deps in dvc.yaml in line with the imports"""

import re
import sys
from typing import Any

from ruamel.yaml import YAML

from stages.lib.reach import PACKAGES, ROOT, reached_files

DVC_YAML = ROOT / "dvc.yaml"


def _yaml() -> YAML:
    yaml = YAML()
    yaml.width = 120
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml


def stages() -> dict[str, Any]:
    """stage name -> its body (for `foreach` stages the body under `do`)."""
    tree = _yaml().load(DVC_YAML.read_text(encoding="utf-8"))
    return {name: body.get("do", body) for name, body in tree["stages"].items()}


def stage_scripts() -> dict[str, str]:
    """stage name -> the script its command runs."""
    scripts = {}
    for name, body in stages().items():
        found = re.search(r"-m (stages\.\w+)", body["cmd"])
        assert found, f"{name}: its command runs no stage script"
        scripts[name] = found.group(1).replace(".", "/") + ".py"
    return scripts


def code_deps(body: dict[str, Any]) -> list[str]:
    """The project files a stage lists."""
    return [dep for dep in body["deps"] if isinstance(dep, str) and dep.startswith(tuple(f"{p}/" for p in PACKAGES))]


def write_code_deps() -> None:
    """Replace each stage's code deps by what its script reaches; other deps stay."""
    yaml = _yaml()
    tree = yaml.load(DVC_YAML.read_text(encoding="utf-8"))
    scripts = stage_scripts()
    for name, whole in tree["stages"].items():
        body = whole.get("do", whole)
        data = [dep for dep in body["deps"] if dep not in code_deps(body)]
        body["deps"] = [*reached_files(scripts[name]), *data]
    with DVC_YAML.open("w", encoding="utf-8") as stream:
        yaml.dump(tree, stream)


def main(arguments: list[str]) -> None:
    """Show the reach of all stages, or write it into dvc.yaml."""
    if arguments == ["--write"]:
        write_code_deps()
    for stage, script in stage_scripts().items():
        print(stage, *reached_files(script), sep="\n  ")


if __name__ == "__main__":
    main(sys.argv[1:])
