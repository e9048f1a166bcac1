"""`kitrec provenance …`: all that a run depends on as one file, and a check of another run against it.

Exit status of the check: 0 every number agrees to the byte or lies within the spread of repeats, which holds all
numbers of an honest repeat together with probability `--level`; 1 some number does not, or is missing; 3 the runs are
different experiments (code, params, inputs or base), whatever their numbers say."""

import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import psutil
import typer

from kitrec.cli import output
from kitrec.cli.run_record import open_run, run_record
from kitrec.cli.runs import WORKSPACE
from kitrec.core import files
from kitrec.core.errors import InputError
from kitrec.report.reproduction import Comparison, compare_numbers, equal_outs, other_terms

FILE, FORMAT = Path("report/provenance.json"), 2
GPU_DEVICE = Path("/dev/nvidia0")
BFLOAT16 = ("avx512_bf16", "amx_bf16", "bf16")  # which of them a processor has decides how training rounds
NUMBERS, OTHER = 1, 3
SHOWN = 20

app = typer.Typer(no_args_is_help=True, help="Provenance: one file of all that a run depends on, and its check.")


@app.command()
def write(
    runs: Annotated[
        list[str] | None, typer.Argument(help="experiments, git revisions or `workspace`; the others repeat the first")
    ] = None,
    to: Annotated[Path, typer.Option(help="output file")] = FILE,
    also: Annotated[list[Path] | None, typer.Option(help="repeats that such files of other machines hold")] = None,
) -> None:
    """Write code, params, seeds, hashes, base, machine, versions, costs and results of a run and of its repeats."""
    names = runs or [WORKSPACE]
    records = {name: run_record(open_run(name)) for name in names}
    for path in also or []:
        records |= {f"{path.stem}/{name}": run for name, run in read(path).items()}
    first = records[names[0]]
    for name, run in records.items():
        if terms := other_terms(first, run):
            raise InputError(
                f"{name} is no repeat of {names[0]}, it differs in {', '.join(terms[:SHOWN])}: leave it out"
            )
    files.write_json({"kitrec_provenance": FORMAT, "written_on": machine(), "runs": records}, to)
    print(f"{to}: {len(records)} run{'s' if len(records) > 1 else ''}, {', '.join(records)}")
    if first["commit"]["dirty"]:
        print("WARNING: the workspace differs from its commit: commit before you publish the file", file=sys.stderr)
    if first["code"]["changed_since"]:
        listed = ", ".join(first["code"]["changed_since"])
        print(f"WARNING: the code of {listed} has changed since it ran: `dvc repro` first", file=sys.stderr)


@app.command()
@output.prints_tables
def check(
    file: Annotated[Path, typer.Argument(help="a file of `kitrec provenance write`")],
    run: Annotated[
        str, typer.Argument(help="an experiment, a revision, `workspace`, or another such file")
    ] = WORKSPACE,
    metrics: Annotated[str, typer.Option(help="compare the metrics files whose paths begin so")] = "metrics/evaluate",
    level: Annotated[float, typer.Option(help="probability that one more run has all its numbers inside")] = 0.95,
) -> None:
    """Compare a run with the file; the exit status says whether it reproduces it."""
    if not 0 < level < 1:
        raise InputError(f"--level {level}: give a probability between 0 and 1, e.g. 0.95")
    recorded = list(read(file).values())
    other = next(iter(read(Path(run)).values())) if run.endswith(".json") else run_record(open_run(run))
    compared = compare_numbers(recorded, other, metrics, level)
    if not compared:
        raise InputError(f"{file} has no metrics file that begins with {metrics!r}: see the keys of its `results`")
    terms, (equal, unequal) = other_terms(recorded[0], other), equal_outs(recorded[0], other)
    output.table(_counts(compared))
    _show_disagreements(compared)
    repeats = (
        f"spread of {len(recorded)} runs, at {level} for all numbers together"
        if len(recorded) > 1
        else "one run, so there is no spread"
    )
    output.note(f"{repeats}; outs with equal hashes: {len(equal)} of {len(equal) + len(unequal)}")
    if terms:
        output.note(f"another experiment, which differs in {', '.join(terms)}")
        raise typer.Exit(OTHER)
    if any(each.agreement in ("not", "missing") for each in compared):
        raise typer.Exit(NUMBERS)


def read(path: Path) -> dict[str, Any]:
    """Return the runs of a provenance file."""
    content = files.read_json(path)
    if not isinstance(content, dict) or content.get("kitrec_provenance") != FORMAT or not content.get("runs"):
        raise InputError(f"{path} is no provenance file of format {FORMAT}: write one by `kitrec provenance write`")
    return dict(content["runs"])


def machine() -> dict[str, Any]:
    """Return processor, memory, GPUs, environment and all installed packages of this machine."""
    installed = {each.metadata["Name"]: each.version for each in metadata.distributions() if each.metadata["Name"]}
    about = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").is_file() else ""
    facts = dict(line.split(":", 1) for line in about.split("\n\n")[0].splitlines() if ":" in line)
    described = {name.strip(): value.strip() for name, value in facts.items()}
    flags = described.get("flags", described.get("Features", "")).split()
    return {
        "system": platform.platform(),
        "processor": described.get("model name") or platform.processor() or platform.machine(),
        "bfloat16": [flag for flag in BFLOAT16 if flag in flags],
        "cores": psutil.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "gpus": _gpus() if GPU_DEVICE.exists() else [],
        "python": platform.python_version(),
        "packages": dict(sorted(installed.items())),
    }


def _gpus() -> list[str]:
    """Return name, memory and driver of each card."""
    command = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        return [f"{GPU_DEVICE} is there, nvidia-smi is not"]


def _counts(compared: list[Comparison]) -> output.Sheet:
    """Return how many numbers of each metrics file agree, and how far."""
    kinds = {"byte": "to the byte", "spread": "within the spread", "not": "not", "missing": "missing"}
    rows = []
    for path in dict.fromkeys(each.name.partition(":")[0] for each in compared):
        of_file: list[str] = [each.agreement for each in compared if each.name.partition(":")[0] == path]
        counts = {header: of_file.count(kind) for header, kind in kinds.items()}
        rows.append({"file": path, "numbers": len(of_file), **counts})
    cells = {"file": output.text("file")} | {name: output.number(name, "d") for name in ("numbers", *kinds)}
    title = "Numbers that agree to the byte, within the spread of repeats, not"
    return output.Sheet("agreement", title, rows, cells, ("file",))


def _show_disagreements(compared: list[Comparison]) -> None:
    """Print the first numbers that do not agree, if there are any; JSON and CSV hold all of them."""
    rows = [
        {"number": each.name, "recorded": each.recorded, "here": each.value, "low": each.low, "high": each.high}
        for each in compared
        if each.agreement in ("not", "missing")
    ]
    if not rows:
        return
    cells: dict[str, output.Cell] = {"number": output.text("number"), "recorded": output.text("recorded")}
    cells |= {"here": lambda row: "–" if row["here"] is None else str(row["here"])}
    cells |= {"spread": lambda row: output.interval(row["low"], row["high"], ".4f") or "–"}
    output.table(output.Sheet("disagreements", "", rows[:SHOWN], cells, ("number",), figures=rows))
    if len(rows) > SHOWN:
        output.note(f"and {len(rows) - SHOWN} more: --json and --csv list all of them")
