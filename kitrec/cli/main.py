"""`kitrec …`: all commands that are not stages. See `kitrec COMMAND --help`.

kitrec profile list | use dataset=smoke llm=smoke | diff | reset | overrides llm=qwen3_14b
kitrec show [--beyond] | tables | report [RUN RUN] | compare METHOD METHOD, or RUN RUN | trace METHOD METRIC
kitrec repeats RUN RUN RUN | power DIFFERENCE RUN RUN RUN
kitrec provenance write | check FILE
kitrec doctor [--pin] [--gpu] [--hours] | plan CARD [--price-per-hour X]
kitrec fit | predict | title-embeddings
kitrec plots-page
kitrec teacher from-text | to-text
kitrec thinkrec-records | thinkrec-train
kitrec hub push-data | push-model
kitrec data fetch books-movies
kitrec base import | fetch | describe | memory

Commands that print tables also print them as --json and --csv."""

import errno
import sys
from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer

from kitrec.cli import (
    base,
    compare,
    data,
    doctor,
    fit,
    hub,
    output,
    plan,
    predict,
    profile,
    provenance,
    repeats,
    report,
    results,
    teacher,
    thinkrec,
    thinkrec_train,
    title_embeddings,
    trace,
)
from kitrec.cli.hours_plan import hours_plan
from kitrec.cli.report_views import listed_methods
from kitrec.config.sections import validate_params
from kitrec.core import params
from kitrec.core.errors import InputError
from kitrec.report.plots_page import write_plots_page

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.add_typer(profile.app, name="profile")
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
app.command("title-embeddings")(title_embeddings.title_embeddings)
app.command("fit")(fit.fit)
app.command("predict")(predict.predict)
app.command("compare")(compare.compare)
app.command("repeats")(repeats.repeats)
app.command("power")(repeats.power)
app.command("plan")(plan.plan)
UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG)


def _print_version(requested: bool) -> None:
    if requested:
        print(f"kitrec {metadata.version('kitrec')}")
        raise typer.Exit


@app.callback(help=__doc__)
def kitrec(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="print the version")
    ] = False,
) -> None:
    """All commands."""


@app.command("doctor")
@output.prints_tables
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
        output.note(doctor.pin_base(params.FILE))
        output.note(doctor.pin_data(params.FILE))
    checks = doctor.run_checks(params.FILE)
    if gpu:
        from kitrec.cli.doctor_gpu import run_gpu_checks  # torch takes seconds to import

        checks += run_gpu_checks(params.FILE)
    output.table(doctor.sheet(checks))
    if not all(check.ok for check in checks):
        raise typer.Exit(1)


def _print_hours() -> None:
    """Print the plan of hours."""
    rows = [{"stage": stage, "hours": value} for stage, value in hours_plan(validate_params(params.FILE)).items()]
    cells = {"stage": output.text("stage"), "hours": output.number("hours", ",.1f")}
    output.table(output.Sheet("hours", "", rows, cells, ("stage",)))


@app.command("plots-page")
def plots_page() -> None:
    """Write the offline page template of `dvc plots show` (done by `make setup`)."""
    write_plots_page(Path(".dvc/plots_page.html"), listed_methods())


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
