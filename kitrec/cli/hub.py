"""`kitrec hub …`: publish data sets and adapters on the Hugging Face Hub; pull adapters.

Without --push nothing is uploaded: a dry run writes the folders to report/hub, to be looked at.

kitrec hub push-data OWNER --model-type dualft_movies --set A
kitrec hub push-data OWNER --all --push
kitrec hub push-model OWNER --set B --all --experiment set-b --push
kitrec hub pull-model OWNER --set A --as published
kitrec hub pull-model OWNER/NAME --as published/dualft-music"""

import os
import secrets
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from kitrec.cli import output
from kitrec.cli.output import Sheet, number, text
from kitrec.core import params
from kitrec.core.domains import Domains
from kitrec.core.errors import InputError
from kitrec.hub import pull, selection
from kitrec.hub.folders import checkout, write_data_set, write_model
from kitrec.hub.upload import Upload, upload_if_changed
from kitrec.llm.base.params import BaseWithServed
from kitrec.llm.base.pinning import pin
from kitrec.llm.finetuning.origins import foreign_warnings

DRY_RUN = Path("report/hub")  # folders of the last dry run
SALT = 16  # characters, at least
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
@output.prints_tables
def push_data(
    owner: Owner,
    model_type: ModelType = None,
    which: Which = None,
    everything: All = False,
    push: Push = False,
    public: Public = False,
) -> None:
    """Publish data sets of data/records. User ids are salted with your secret KITREC_SALT; a dry run needs none."""
    salt = os.environ.get("KITREC_SALT", "")
    if push and len(salt) < SALT:
        raise InputError(
            f"KITREC_SALT must be a secret of {SALT} characters or more: `openssl rand -hex 16` makes one; keep it"
        )
    domains = params.load(Domains, "domains")
    chosen = selection.select_data_sets(model_type, which, everything=everything, domains=domains)

    used = salt if len(salt) >= SALT else secrets.token_hex(SALT)

    def write(name: str, folder: Path) -> None:
        write_data_set(name, *chosen[name], Path(), used.encode()[:64], folder)

    _publish(owner, "dataset", list(chosen), write, push=push, public=public)
    if used != salt:
        output.note(f"user ids are salted with a throw-away salt: --push needs KITREC_SALT, {SALT} characters or more")


@app.command("push-model")
@output.prints_tables
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
@output.prints_tables
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
    headers, listed, warnings = ("adapter", "from", "commit", "base it names", "rank", "projections"), [], []
    for name, repositories in sources.items():
        pulled = pull.pull(pull.fetch_first(repositories, revision), targets[name], base)
        warnings += pulled.warnings
        listed.append((str(pulled.target), *pulled.cells))
    output.table(output.text_sheet("adapters", "", headers, listed))
    for warning in [*warnings, *foreign_warnings(targets, base)]:
        print(f"WARNING: {warning}", file=sys.stderr)
    output.note(f"to use them: infer.methods.METHOD.model: {place.partition('/')[0]} in params.yaml")


def _publish(
    owner: str, kind: str, names: list[str], write: Callable[[str, Path], None], *, push: bool, public: bool
) -> None:
    """Write all folders first, so that nothing is uploaded if one fails; then upload one by one, or keep them."""
    with TemporaryDirectory() as temporary:
        uploads = []
        for name in names:
            write(name, Path(temporary) / name)
            uploads.append(Upload(f"{owner}/{name}", kind, Path(temporary) / name))
        status = {each.repository: "dry run" for each in uploads}
        if push:
            for each in uploads:
                status[each.repository] = "uploaded" if upload_if_changed(each, public=public) else "unchanged"
        else:
            shutil.rmtree(DRY_RUN, ignore_errors=True)
            shutil.copytree(temporary, DRY_RUN)
        output.table(_uploads_sheet(uploads, status))
    visibility = "public" if public else "private"
    if push:
        output.note(f"{owner} has these {kind} repositories, made {visibility} where they are new")
    else:
        output.note(f"nothing was uploaded: look at {DRY_RUN}; --push uploads these {visibility} {kind} repositories")


def _uploads_sheet(uploads: list[Upload], status: dict[str, str]) -> Sheet:
    rows: list[dict[str, Any]] = [
        {
            "repository": each.repository,
            "files": " ".join(sorted(path.name for path in each.folder.iterdir())),
            "MiB": round(each.mebibytes, 2),
            "status": status[each.repository],
        }
        for each in uploads
    ]
    cells = {name: text(name) for name in ("repository", "files")} | {"MiB": number("MiB", ".2f")}
    return Sheet("repositories", "", rows, cells | {"status": text("status")}, ("repository", "files", "status"))
