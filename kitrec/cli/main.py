"""`kitrec …`: all commands that are not stages. See `kitrec COMMAND --help`.

kitrec profile list | use dataset=smoke llm=smoke | diff | reset | overrides llm=qwen3_14b
kitrec show | tables | report | compare RUN RUN | trace METHOD METRIC
kitrec repeats RUN RUN RUN | power DIFFERENCE RUN RUN RUN
kitrec provenance write | check FILE
kitrec doctor [--pin] [--gpu] [--hours] | plan CARD [--price-per-hour X]
kitrec fit | predict | title-embeddings
kitrec plots-page
kitrec teacher from-text | to-text
kitrec thinkrec-records | thinkrec-train
kitrec hub push-data | push-model
kitrec data fetch books-movies

kitrec base import | fetch | describe | memory"""

import errno
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from kitrec.cli import (
    base,
    data,
    doctor,
    fit,
    hub,
    items,
    plan,
    provenance,
    repeats,
    report,
    results,
    teacher,
    thinkrec,
    thinkrec_train,
    trace,
)
from kitrec.cli.hours_plan import hours_plan
from kitrec.config import overlays, profiles
from kitrec.config.sections import validate_params
from kitrec.core import params
from kitrec.core.errors import InputError
from kitrec.report.plots_page import write_plots_page

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
profile = typer.Typer(no_args_is_help=True, help="Profiles: named overlays of conf/ for params.yaml.")
app.add_typer(profile, name="profile")
app.add_typer(hub.app, name="hub")
app.add_typer(data.app, name="data")
app.add_typer(teacher.app, name="teacher")
app.add_typer(base.app, name="base")
app.add_typer(provenance.app, name="provenance")
app.command("thinkrec-records")(thinkrec.thinkrec_records)
app.command("thinkrec-train")(thinkrec_train.thinkrec_train)
app.command("show")(results.show)
app.command("tables")(results.paper_tables)
app.command("report")(report.report)
app.command("trace")(trace.trace)
app.command("title-embeddings")(items.title_embeddings)
app.command("fit")(fit.fit)
app.command("predict")(items.predict)
app.command("compare")(results.compare)
app.command("repeats")(repeats.repeats)
app.command("power")(repeats.power)
app.command("plan")(plan.plan)
UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG)
Choices = Annotated[list[str], typer.Argument(help="group=name, e.g. dataset=smoke llm=smoke")]


@profile.command("list")
def list_profiles() -> None:
    """List all profiles and the keys they set."""
    table = Table("profile", "sets")
    for group, names in overlays.available().items():
        for name in names:
            keys = overlays.overlay(f"{group}={name}")
            table.add_row(f"{group}={name}", ", ".join(f"{key}={value}" for key, value in keys.items()))
    Console().print(table)


@profile.command()
def use(choices: Choices) -> None:
    """Merge profiles into params.yaml, keeping its comments; one replaces the earlier one of its group."""
    change = profiles.use(params.FILE, choices)
    now = " ".join(overlays.in_order(change.active)) or "the shipped values"
    print(f"{params.FILE} now uses {now}; see `kitrec profile diff`, and `kitrec profile reset` for the way back")
    for heading, lines in (("replaced", change.replaced), ("conflict", change.conflicts), ("set by hand", change.kept)):
        for line in lines:
            print(f"  {heading}: {line}")


@profile.command()
def diff() -> None:
    """Show what differs from the shipped params.yaml, key by key, and the profile behind it."""
    print_differences(profiles.differences(params.FILE)) or print(f"{params.FILE} has the shipped values")


@profile.command()
def reset(
    groups: Annotated[list[str] | None, typer.Argument(help="only these groups, e.g. variants; default: all")] = None,
) -> None:
    """Return params.yaml to the shipped values, or take away the profiles of some groups."""
    undone = profiles.reset(params.FILE, groups or [])
    print_differences(undone)
    print(f"{params.FILE}: {len(undone)} values are the shipped ones again")


def print_differences(lines: list[profiles.Difference]) -> bool:
    """Print a table of differences, if there are any."""
    table = Table("key", "shipped", "here", "by")
    for key, before, value, source in lines:
        table.add_row(key, str(before), str(value), source)
    if lines:
        Console().print(table)
    return bool(lines)


@profile.command()
def overrides(choices: Choices) -> None:
    """Print profiles as options, e.g. dvc exp run $(kitrec profile overrides llm=qwen3_14b)."""
    print(" ".join(profiles.as_options(params.FILE, choices)))


@app.command("doctor")
def run_doctor(
    pin: Annotated[
        bool, typer.Option("--pin", help="write the current hub commits of base and data sets to params.yaml")
    ] = False,
    gpu: Annotated[
        bool, typer.Option("--gpu", help="also check the GPU: bf16, NF4, vLLM, memory plan of every stage")
    ] = False,
    hours: Annotated[bool, typer.Option("--hours", help="instead: what these params cost on one 80 GB card")] = False,
) -> None:
    """Check machine, environment and params.yaml; print what is wrong and the way out."""
    if hours:
        _print_hours()
        return
    if pin:
        print(doctor.pin_base(params.FILE), doctor.pin_data(params.FILE), sep="\n")
    table = Table("check", "result", "status")
    checks = doctor.run_checks(params.FILE)
    if gpu:
        from kitrec.cli.doctor_gpu import run_gpu_checks  # torch takes seconds to import

        checks += run_gpu_checks(params.FILE)
    for check in checks:
        table.add_row(check.name, check.result, "ok" if check.ok else f"[red]{check.way_out}")
    Console().print(table)
    if not all(check.ok for check in checks):
        raise typer.Exit(1)


def _print_hours() -> None:
    """Print the plan of hours."""
    table = Table("stage", "hours")
    for stage, value in hours_plan(validate_params(params.FILE)).items():
        table.add_row(stage, f"{value:,.1f}")
    Console().print(table)


@app.command("plots-page")
def plots_page() -> None:
    """Write the offline page template of `dvc plots show` (done by `make setup`)."""
    write_plots_page(Path(".dvc/plots_page.html"))


def main() -> None:
    """Run the `kitrec` command."""
    try:
        app()
    except InputError as problem:
        sys.exit(f"error: {problem}")
    except OSError as problem:
        if problem.errno not in UNWRITABLE or not problem.filename:
            raise
        sys.exit(f"error: {problem.filename} cannot be written or read: {(problem.strerror or '').lower()}")


if __name__ == "__main__":
    main()
