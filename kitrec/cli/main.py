"""`kitrec …`: what is not a stage. `kitrec COMMAND --help` explains each.

kitrec profile list | use dataset=smoke llm=smoke | overrides llm=qwen3_14b
kitrec show | tables | report | compare RUN RUN | trace METHOD METRIC
kitrec doctor [--pin] [--gpu]
kitrec fit | predict | title-embeddings
kitrec plots-page
kitrec teacher from-text | to-text
kitrec thinkrec-records
kitrec hub push-data | push-model"""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from kitrec.cli import doctor, fit, hub, items, report, results, teacher, thinkrec, trace
from kitrec.config import profiles
from kitrec.core import params
from kitrec.core.errors import InputError
from kitrec.report.plots_page import write_plots_page

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
profile = typer.Typer(no_args_is_help=True, help="Named settings: overlays of conf/ for params.yaml.")
app.add_typer(profile, name="profile")
app.add_typer(hub.app, name="hub")
app.add_typer(teacher.app, name="teacher")
app.command("thinkrec-records")(thinkrec.thinkrec_records)
app.command("show")(results.show)
app.command("tables")(results.paper_tables)
app.command("report")(report.report)
app.command("trace")(trace.trace)
app.command("title-embeddings")(items.title_embeddings)
app.command("fit")(fit.fit)
app.command("predict")(items.predict)
app.command("compare")(results.compare)
Choices = Annotated[list[str], typer.Argument(help="group=name, e.g. dataset=smoke llm=smoke")]


@profile.command("list")
def list_profiles() -> None:
    """Show all profiles and the keys each one sets."""
    table = Table("profile", "sets")
    for group, names in profiles.available().items():
        for name in names:
            keys = profiles.leaves(profiles.overlay(f"{group}={name}"))
            table.add_row(f"{group}={name}", ", ".join(f"{key}={value}" for key, value in keys.items()))
    Console().print(table)


@profile.command()
def use(choices: Choices) -> None:
    """Merge profiles into params.yaml; its comments stay. `git checkout params.yaml` takes it back."""
    profiles.use(params.FILE, choices)
    print(f"{params.FILE} now follows {' '.join(choices)}; `git diff {params.FILE}` shows what changed")


@profile.command()
def overrides(choices: Choices) -> None:
    """Print profiles as options: dvc exp run $(kitrec profile overrides llm=qwen3_14b)."""
    print(" ".join(profiles.as_options(choices)))


@app.command("doctor")
def run_doctor(
    pin: Annotated[
        bool, typer.Option("--pin", help="ask the hub for the commits of base and data sets, write them to params.yaml")
    ] = False,
    gpu: Annotated[bool, typer.Option("--gpu", help="look at the GPU too: bf16, NF4, vLLM, what fits")] = False,
) -> None:
    """Check machine, environment and params; say what is wrong and what to do."""
    if pin:
        print(doctor.pin_base(params.FILE), doctor.pin_data(params.FILE), sep="\n")
    table = Table("check", "found", "")
    findings = doctor.examine(params.FILE)
    if gpu:
        from kitrec.cli.doctor_gpu import examine_gpu  # torch takes seconds to import

        findings += examine_gpu(params.FILE)
    for finding in findings:
        table.add_row(finding.name, finding.found, "ok" if finding.ok else f"[red]{finding.way_out}")
    Console().print(table)
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


@app.command("plots-page")
def plots_page() -> None:
    """Write the offline page template of `dvc plots show` (`make setup` does it)."""
    write_plots_page(Path(".dvc/plots_page.html"))


def main() -> None:
    """The `kitrec` command."""
    try:
        app()
    except InputError as problem:
        sys.exit(f"error: {problem}")


if __name__ == "__main__":
    main()
