"""`kitrec hub …`: data sets and adapters to the Hugging Face Hub; shows what it would do unless told to push.

kitrec hub push-data OWNER --model-type dualft_movies --set A
kitrec hub push-data OWNER --all --push
kitrec hub push-model OWNER --set B --all --experiment set-b --push"""

import os
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from kitrec.core.errors import InputError
from kitrec.hub import selection
from kitrec.hub.folders import checked_out, write_data_set, write_model
from kitrec.hub.upload import Parcel, send

app = typer.Typer(no_args_is_help=True, help=__doc__)
Owner = Annotated[str, typer.Argument(help="user or organisation on the hub")]
ModelType = Annotated[str | None, typer.Option("--model-type", help=f"one of {', '.join(selection.DATA_TYPES)}")]
Which = Annotated[str | None, typer.Option("--set", help="A or B")]
All = Annotated[bool, typer.Option("--all", help="all of the set, or of both sets")]
Push = Annotated[bool, typer.Option("--push", help="really upload; needs HF_TOKEN")]
Public = Annotated[bool, typer.Option("--public", help="everybody may read it; default: private")]
Experiments = Annotated[
    list[str] | None, typer.Option("--experiment", help="where to take adapters from; default: the workspace")
]


@app.command("push-data")
def push_data(
    owner: Owner,
    model_type: ModelType = None,
    which: Which = None,
    everything: All = False,
    push: Push = False,
    public: Public = False,
) -> None:
    """Publish data sets of data/records. User ids are salted with KITREC_SALT, a secret of yours."""
    salt = os.environ.get("KITREC_SALT", "")
    if len(salt) < 16:
        raise InputError(
            "KITREC_SALT must be a secret of 16 characters or more: `openssl rand -hex 16` makes one; keep it"
        )
    chosen = selection.data_sets(model_type, which, everything=everything)

    def written(name: str, folder: Path) -> None:
        write_data_set(name, *chosen[name], Path(), salt.encode()[:64], folder)

    _deliver(owner, "dataset", list(chosen), written, push=push, public=public)


@app.command("push-model")
def push_model(
    owner: Owner,
    model_type: ModelType = None,
    which: Which = None,
    everything: All = False,
    experiment: Experiments = None,
    variant: Annotated[str, typer.Option(help="which adapters: a folder of models/")] = "full",
    push: Push = False,
    public: Public = False,
) -> None:
    """Publish adapters with their settings, curve and results; of several experiments the first that has one."""
    chosen = selection.models(model_type, which, everything=everything)

    def written(name: str, folder: Path) -> None:
        sources: list[str | None] = [*experiment] if experiment else [None]
        refused = []
        for source in sources:
            try:
                with checked_out(source) as root:
                    return write_model(name, *chosen[name], variant, root, folder)
            except InputError as problem:
                refused.append(str(problem))
        raise InputError(f"{name}: " + "; ".join(refused))

    _deliver(owner, "model", list(chosen), written, push=push, public=public)


def _deliver(
    owner: str, kind: str, names: list[str], write: Callable[[str, Path], None], *, push: bool, public: bool
) -> None:
    """Write everything first, so that nothing is sent if something is missing; then send, one by one."""
    with TemporaryDirectory() as temporary:
        parcels = []
        for name in names:
            write(name, Path(temporary) / name)
            parcels.append(Parcel(f"{owner}/{name}", kind, Path(temporary) / name))
        table = Table("repository", "files", "MiB", "readers", "")
        for parcel in parcels:
            done = ("sent" if send(parcel, public=public) else "was there") if push else "dry run: --push sends it"
            listed = ", ".join(sorted(path.name for path in parcel.folder.iterdir()))
            table.add_row(parcel.repository, listed, f"{parcel.mebibytes:.2f}", "all" if public else "private", done)
        Console().print(table)
