"""`kitrec hub …`: publish data sets and adapters on the Hugging Face Hub (a dry run without --push); pull adapters.

kitrec hub push-data OWNER --model-type dualft_movies --set A
kitrec hub push-data OWNER --all --push
kitrec hub push-model OWNER --set B --all --experiment set-b --push
kitrec hub pull-model OWNER --set A --as published
kitrec hub pull-model OWNER/NAME --as published/dualft-music"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from kitrec.core import params
from kitrec.core.domains import Domains
from kitrec.core.errors import InputError
from kitrec.hub import pull, selection
from kitrec.hub.folders import checkout, write_data_set, write_model
from kitrec.hub.upload import Upload, upload_if_changed
from kitrec.llm.base.params import BaseWithServed
from kitrec.llm.base.pinning import pin
from kitrec.llm.finetuning.origins import foreign_warnings

app = typer.Typer(no_args_is_help=True, help=__doc__)
Owner = Annotated[str, typer.Argument(help="user or organisation on the hub")]
ModelType = Annotated[str | None, typer.Option("--model-type", help=f"one of {', '.join(selection.data_types())}")]
Which = Annotated[str | None, typer.Option("--set", help="A or B")]
All = Annotated[bool, typer.Option("--all", help="everything of the set, or of both sets")]
Push = Annotated[bool, typer.Option("--push", help="upload; needs HF_TOKEN")]
Public = Annotated[bool, typer.Option("--public", help="create public repositories; default: private")]
Experiments = Annotated[
    list[str] | None, typer.Option("--experiment", help="source of adapters; default: the workspace")
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
    """Publish data sets of data/records. User ids are salted with your secret KITREC_SALT."""
    salt = os.environ.get("KITREC_SALT", "")
    if len(salt) < 16:
        raise InputError(
            "KITREC_SALT must be a secret of 16 characters or more: generate one by `openssl rand -hex 16`, keep it"
        )
    domains = params.load(Domains, "domains")
    chosen = selection.select_data_sets(model_type, which, everything=everything, domains=domains)

    def write(name: str, folder: Path) -> None:
        write_data_set(name, *chosen[name], Path(), salt.encode()[:64], folder)

    _publish(owner, "dataset", list(chosen), write, push=push, public=public)


@app.command("push-model")
def push_model(
    owner: Owner,
    model_type: ModelType = None,
    which: Which = None,
    everything: All = False,
    experiment: Experiments = None,
    variant: Annotated[str, typer.Option(help="variant of the adapters: a folder of models/")] = "full",
    push: Push = False,
    public: Public = False,
) -> None:
    """Publish adapters with settings, curve and results; of several experiments, the first that has the adapter."""
    domains = params.load(Domains, "domains")
    chosen = selection.select_models(model_type, which, everything=everything, domains=domains)

    def write(name: str, folder: Path) -> None:
        sources: list[str | None] = [*experiment] if experiment else [None]
        errors = []
        for source in sources:
            try:
                with checkout(source) as root:
                    return write_model(name, *chosen[name], variant, root, folder)
            except InputError as problem:
                errors.append(str(problem))
        raise InputError(f"{name}: " + "; ".join(errors))

    _publish(owner, "model", list(chosen), write, push=push, public=public)


@app.command("pull-model")
def pull_model(
    source: Annotated[str, typer.Argument(help="OWNER/NAME on the hub, a folder, or with --set the OWNER alone")],
    place: Annotated[str, typer.Option("--as", help="VARIANT/MODEL under models/, or with --set the VARIANT alone")],
    which: Which = None,
    revision: Annotated[str | None, typer.Option(help="commit, tag or branch; default: the newest commit")] = None,
) -> None:
    """Fetch adapters that others trained, at a pinned commit, and check them against the base of params.yaml."""
    if which and revision:
        raise InputError("--set takes four repositories, --revision is of one: pull them one by one")
    base = pin(params.load(BaseWithServed, "base"))
    sources = pull.published(source, place, which) if which else {place: [source]}
    domains = params.load(Domains, "domains")
    targets = {name: pull.target_folder(name, domains) for name in sources}
    table = Table("adapter", "from", "commit", "base it names", "rank", "projections")
    warnings = []
    for name, repositories in sources.items():
        pulled = pull.pull(pull.fetch_first(repositories, revision), targets[name], base)
        warnings += pulled.warnings
        table.add_row(str(pulled.target), *pulled.cells)
    Console().print(table)
    for warning in [*warnings, *foreign_warnings(targets, base)]:
        print(f"WARNING: {warning}", file=sys.stderr)
    print(f"to use them: infer.methods.METHOD.model: {place.partition('/')[0]} in params.yaml")


def _publish(
    owner: str, kind: str, names: list[str], write: Callable[[str, Path], None], *, push: bool, public: bool
) -> None:
    """Write all folders first, so that nothing is uploaded if one fails; then upload one by one."""
    with TemporaryDirectory() as temporary:
        uploads = []
        for name in names:
            write(name, Path(temporary) / name)
            uploads.append(Upload(f"{owner}/{name}", kind, Path(temporary) / name))
        table = Table("repository", "files", "MiB", "visibility", "status")
        for upload in uploads:
            if push:
                status = "uploaded" if upload_if_changed(upload, public=public) else "unchanged"
            else:
                status = "dry run: --push uploads it"
            listed = ", ".join(sorted(path.name for path in upload.folder.iterdir()))
            table.add_row(
                upload.repository, listed, f"{upload.mebibytes:.2f}", "public" if public else "private", status
            )
        Console().print(table)
