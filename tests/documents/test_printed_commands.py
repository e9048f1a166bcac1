"""Every command that README.md and the guides print: profiles really run, the others must at least be accepted."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
import typer.main
from dvc.cli import parse_args
from dvc.utils.hydra import apply_overrides
from typer.core import TyperGroup
from typer.testing import CliRunner

from kitrec.cli.main import app
from kitrec.config import overlays, profiles
from kitrec.config.sections import validate_params
from tests.conftest import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs/guides").glob("*.md"))]
PAGES += [
    ROOT / "docs" / name for name in ("graph.md", "quickstart_ja.md", "quickstart_ko.md", "results.md", "tutorial.md")
]
FIRST_WORDS = ("kitrec", "dvc", "python", "git", "make", "env_shell/start_experiment_container.sh", "export")
# Neither run nor parsed here: they need a network, a container or another machine.
ELSEWHERE = ("git clone", "git push", "git checkout", "export HF_TOKEN", "env_shell/", "dvc push")


def commands(page: Path) -> list[str]:
    """The commands of the indented blocks of a page, top to bottom, without comments."""
    lines = [line.strip() for line in page.read_text().splitlines() if line.startswith("    ")]
    plain = [re.split(r"\s+#", line)[0] for line in lines if not line.startswith("#")]
    parts = [part.strip() for line in plain for part in line.split(" && ")]
    return [re.sub(r"^[A-Z_]+=\S+ ", "", part) for part in parts if part]


PRINTED = [
    (page.name, command)
    for page in PAGES
    for command in commands(page)
    if re.sub(r"^[A-Z_]+=\S+ ", "", command).split()[0] in FIRST_WORDS and not command.startswith(ELSEWHERE)
]


def settings(words: list[str]) -> list[str]:
    """The values of -S, without placeholders; of a sweep (`key=1,2`) the first."""
    values = [words[k + 1] for k, word in enumerate(words) if word == "-S" and "<" not in words[k + 1]]
    return [value if "[" in value else value.partition(",")[0] for value in values]


def parse_kitrec(words: list[str]) -> None:
    """Parse arguments as the command line does, without running the command."""
    command = typer.main.get_command(app)
    while isinstance(command, TyperGroup):
        command, words = command.commands[words[0]], words[1:]
    command.make_context(command.name, list(words))


def test_pages_print_commands():
    assert len(PRINTED) > 40 and {name for name, _ in PRINTED} == {page.name for page in PAGES}


@pytest.mark.parametrize(("page", "command"), PRINTED)
@pytest.mark.usefixtures("in_project")
def test_a_printed_command_is_accepted(tmp_path, page, command):
    profile = re.search(r"\$\(kitrec profile overrides ([^)]*)\)", command)
    words = shlex.split(command.replace(profile[0], "") if profile else command)
    params = tmp_path / "params.yaml"
    params.write_text(overlays.shipped_text())
    if profile:
        apply_overrides(params, profiles.as_options(params, profile[1].split())[1::2])
    if words[0] == "kitrec":
        parse_kitrec(words[1:])
    elif words[0] == "dvc":
        parse_args(words[1:])
        if settings(words):
            apply_overrides(params, settings(words))
            validate_params(params)
        for target in re.findall(r"\b(?:repro|run) ((?:[a-z_@-]+(?:\s|$))+)", command):
            known = (ROOT / "dvc.yaml").read_text()
            for stage in target.split():
                assert stage.startswith("-") or f"\n  {stage.partition('@')[0]}:\n" in known, stage
    elif words[0] == "make":
        assert f"\n{words[1]}:" in (ROOT / "Makefile").read_text(), page
    elif words[:2] == ["python", "-m"]:
        assert (ROOT / (words[2].replace(".", "/") + ".py")).is_file()


@pytest.mark.parametrize("page", sorted({page for page, command in PRINTED if command.startswith("kitrec profile")}))
def test_the_profile_commands_of_a_page_run_from_top_to_bottom(tmp_path, monkeypatch, page):
    """As a reader types them: one after the other, in one copy."""
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    (tmp_path / "params.yaml").write_text(overlays.shipped_text())
    monkeypatch.chdir(tmp_path)
    typed = [command for where, command in PRINTED if where == page and command.startswith("kitrec profile")]
    assert typed
    for command in typed:
        ran = CliRunner().invoke(app, shlex.split(command)[1:])
        assert ran.exit_code == 0, f"{command}: {ran.output[-500:]} {ran.exception}"
        validate_params(tmp_path / "params.yaml")
