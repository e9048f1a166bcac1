"""`kitrec profile …`: named overlays of conf/ for params.yaml.

kitrec profile list;   kitrec profile list variants;   kitrec profile list dataset=smoke"""

from typing import Annotated, Any

import typer

from kitrec.cli import output
from kitrec.cli.names import require_name
from kitrec.cli.output import Sheet, text
from kitrec.config import overlays, profiles
from kitrec.core import params

app = typer.Typer(no_args_is_help=True, help="Profiles: named overlays of conf/ for params.yaml.")
Choices = Annotated[list[str], typer.Argument(help="group=name, e.g. dataset=smoke llm=smoke")]
ACTIVE = "*"


@app.command("list")
@output.prints_tables
def list_profiles(
    of: Annotated[str | None, typer.Argument(help="a group, e.g. variants; or a profile, e.g. dataset=smoke")] = None,
) -> None:
    """List all profiles by group; of one group what each is for; of one profile the keys it sets."""
    available = overlays.available()
    if of is None:
        _list_groups(available)
    elif "=" in of:
        group, _, name = of.partition("=")
        require_name(group, available, "group of profiles")
        require_name(name, available[group], f"profile of {group}")
        output.note(f"{of}: {purpose(group, name)}")
        columns = ("key", "value")
        output.table(output.text_sheet("keys", "", columns, [*overlays.overlay(of).items()]))
    else:
        group = require_name(of, available, "group of profiles")
        rows = [(f"{group}={name}", purpose(group, name)) for name in available[group]]
        output.table(output.text_sheet("profiles", "", ("profile", "for"), rows))


def _list_groups(available: dict[str, list[str]]) -> None:
    active = overlays.find_active(overlays.leaves(params.read())) if params.FILE.is_file() else {}
    figures: list[dict[str, Any]] = [
        {"profile": f"{group}={name}", "active": active.get(group) == name, "for": purpose(group, name)}
        for group, names in available.items()
        for name in names
    ]
    rows = [
        {"group": group, "names": ", ".join(name + ACTIVE * (active.get(group) == name) for name in names)}
        for group, names in available.items()
    ]
    cells = {"group": text("group"), "profiles": text("names")}
    output.table(Sheet("profiles", "", rows, cells, ("group", "profiles"), figures=figures))
    now = " ".join(overlays.in_order(active)) or "the shipped values"
    output.note(f"in use ({ACTIVE}): {now}")
    output.note(
        "`kitrec profile list GROUP` says what each is for, `list GROUP=NAME` what it sets, `use GROUP=NAME` merges"
    )


def purpose(group: str, name: str) -> str:
    """Return the sentences at the top of an overlay's file."""
    lines = (overlays.CONF / group / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    comments = []
    for line in lines:
        if not line.startswith("#"):
            break
        comments.append(line.removeprefix("#").strip())
    return " ".join(comments)


@app.command()
def use(choices: Choices) -> None:
    """Merge profiles into params.yaml, keeping its comments; one replaces the earlier one of its group."""
    _check(choices)
    change = profiles.use(params.FILE, choices)
    now = " ".join(overlays.in_order(change.active)) or "the shipped values"
    print(f"{params.FILE} now uses {now}; see `kitrec profile diff`, and `kitrec profile reset` for the way back")
    for heading, lines in (("replaced", change.replaced), ("conflict", change.conflicts), ("set by hand", change.kept)):
        for line in lines:
            print(f"  {heading}: {line}")


@app.command()
@output.prints_tables
def diff() -> None:
    """Show what differs from the shipped params.yaml, key by key, and the profile behind it."""
    if not _show_differences(profiles.differences(params.FILE)):
        output.note(f"{params.FILE} has the shipped values")


@app.command()
@output.prints_tables
def reset(
    groups: Annotated[list[str] | None, typer.Argument(help="only these groups, e.g. variants; default: all")] = None,
) -> None:
    """Return params.yaml to the shipped values, or take away the profiles of some groups."""
    for group in groups or []:
        require_name(group, overlays.available(), "group of profiles")
    undone = profiles.reset(params.FILE, groups or [])
    _show_differences(undone)
    output.note(f"{params.FILE}: {len(undone)} values are the shipped ones again")


@app.command()
def overrides(choices: Choices) -> None:
    """Print profiles as options, e.g. dvc exp run $(kitrec profile overrides llm=qwen3_14b)."""
    _check(choices)
    print(" ".join(profiles.as_options(params.FILE, choices)))


def _check(choices: list[str]) -> None:
    """Refuse a profile that does not exist, with the closest one."""
    for choice in choices:
        require_name(choice, [f"{g}={name}" for g, names in overlays.available().items() for name in names], "profile")


def _show_differences(lines: list[profiles.Difference]) -> bool:
    """Print a table of differences, if there are any."""
    if lines:
        output.table(output.text_sheet("differences", "", ("key", "shipped", "here", "by"), lines))
    return bool(lines)
