"""`kitrec teacher …`: conversion between folders of data/teachers and DLLM2Rec's text files."""

from pathlib import Path
from typing import Annotated

import typer

from kitrec.core import files, tables
from kitrec.core.errors import InputError
from kitrec.distillation.dllm2rec_files import has_vectors, missing_tables, read_lists, read_vectors, write_text
from kitrec.distillation.dllm2rec_tables import check_order, tables_of_interactions
from kitrec.distillation.item_embeddings import read_embeddings, write_embeddings
from kitrec.schemas.interactions import SPLIT_INTERACTIONS
from kitrec.schemas.teacher_lists import TEACHER_LISTS

LISTS, VECTORS = "lists.parquet", "vectors.safetensors"
app = typer.Typer(no_args_is_help=True, help="Convert teachers from and to DLLM2Rec's text files.")


@app.command("from-text")
def from_text(
    source: Annotated[
        Path,
        typer.Argument(
            help="folder with myrank_train.txt, confidence_train.txt, optionally all_embeddings.pt (or .npy), "
            "rows_train.tsv and items.tsv"
        ),
    ],
    to: Annotated[Path, typer.Option(help="output folder, e.g. data/teachers/mine")],
    interactions: Annotated[
        Path, typer.Option(help="training interactions, of which missing rows_train.tsv and items.tsv are made")
    ] = Path("data/interactions/train.parquet"),
) -> None:
    """Convert DLLM2Rec's files to a teacher; then add it to distillation.teachers and run `dvc repro rank_student`.

    rows_train.tsv identifies each line (user_id, target, prefix_length, next_id), items.tsv each item number; a missing
    one is made of the training interactions, in their order, with a warning."""
    _require_absent(to)
    missing, made = missing_tables(source), None
    if missing:
        if not interactions.exists():
            raise InputError(
                f"{source / missing[0]} is missing, and so is {interactions}, of which it could be made: run "
                "`dvc repro prepare`, or add the file"
            )
        made = tables_of_interactions(tables.read(interactions, SPLIT_INTERACTIONS))
    lists, vectors = read_lists(source, made), read_vectors(source, made) if has_vectors(source) else None
    if made is not None:
        print(check_order(source, lists, made, missing))
    with files.atomic(to) as draft:
        draft.mkdir()
        tables.write(lists, draft / LISTS, TEACHER_LISTS)
        if vectors is not None:
            write_embeddings(vectors, draft / VECTORS)
    summary = (
        "no vectors" if vectors is None else f"{len(vectors.item_ids)} vectors of {vectors.vectors.shape[1]} dimensions"
    )
    print(f"{to}: {lists.height} lists, {summary}")


@app.command("to-text")
def to_text(
    teacher: Annotated[Path, typer.Argument(help="folder of a teacher, e.g. data/teachers/oracle")],
    to: Annotated[Path, typer.Option(help="output folder")],
) -> None:
    """Convert a teacher to DLLM2Rec's text files, with descriptions of their lines and numbers."""
    _require_absent(to)
    if not (teacher / LISTS).exists():
        raise InputError(f"{teacher} has no {LISTS}: name a folder of data/teachers; `dvc repro rank_student` makes it")
    vectors = read_embeddings(teacher / VECTORS) if (teacher / VECTORS).exists() else None
    lists = tables.read(teacher / LISTS, TEACHER_LISTS)
    write_text(lists, vectors, to)
    print(f"{to}: {lists.height} lines")


def _require_absent(to: Path) -> None:
    if to.exists():
        raise InputError(f"{to} exists already: move it, or name another folder")
