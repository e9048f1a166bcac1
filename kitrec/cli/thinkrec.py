"""`kitrec thinkrec-records`: ThinkRec's records from your own interactions or labelled rows."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import polars as pl
import typer

from kitrec.core import files
from kitrec.core.errors import InputError
from kitrec.recommenders.data.interaction_files import read_interactions
from kitrec.recommenders.data.metadata_files import read_pairs
from kitrec.thinkrec.conversion import from_interactions, from_labelled, with_reasons
from kitrec.thinkrec.labelled_rows import PARTS, read_labelled, read_titles
from kitrec.thinkrec.rationale_teachers import TemplateTeacher
from kitrec.thinkrec.records import Record, write_records
from kitrec.thinkrec.vector_shards import Vectors, write_shard


def thinkrec_records(
    source: Annotated[
        Path,
        typer.Argument(
            help="CSV or TSV with user, item, time; or a folder of labelled rows: train.tsv (user, item, rating 0 or "
            "1), train_history.tsv, items.tsv, and the same for valid and test"
        ),
    ],
    to: Annotated[Path, typer.Option(help="folder to write")],
    titles: Annotated[
        Path | None, typer.Option(help="TSV with item, title; labelled rows have their own in items.tsv")
    ] = None,
    genres: Annotated[
        Path | None,
        typer.Option(help="TSV with item, genre: adds rationales that name the genres shared with the history"),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            help="sequence model of `kitrec fit` (its best-*), or a folder of data/idrec (bpr_mf too): adds vectors of "
            "items, and of users if each has a single target item"
        ),
    ] = None,
    mf: Annotated[
        bool,
        typer.Option(
            "--mf", help="labelled rows: train matrix factorisation on train, add its vectors of users and items"
        ),
    ] = False,
    negatives: Annotated[int, typer.Option(min=1, help="negatives per user, drawn from items without interaction")] = 3,
    seed: int = 42,
) -> None:
    """Write like/dislike records: from interactions by leave-one-out, or from rows that are labelled already."""
    if to.exists():
        raise InputError(f"{to} is there already: move it away, or name another folder")
    if mf and (model or not source.is_dir()):
        raise InputError("--mf learns from a folder of labelled rows, in place of --model: give one of them")
    parts = _records_of_parts(source, titles, negatives, seed)
    with files.atomic(to) as draft:
        draft.mkdir()
        training = parts.get("train", parts.get("records", []))
        vectors = _mf_vectors(source, seed) if mf else {}
        vectors |= _model_vectors(model, training, users=not source.is_dir()) if model else {}
        shards = _write_shards(vectors, draft)
        for part, records in parts.items():
            explained, dropped = _explain(records, genres) if genres and records is training else ([], 0)
            write_records([*records, *explained], draft / f"{part}.jsonl", **shards)
            without = f", {dropped} without a rationale that fits the label" if dropped else ""
            print(f"{to / part}.jsonl: {len(records)} records, {len(explained)} with a rationale{without}")


def _records_of_parts(source: Path, titles: Path | None, negatives: int, seed: int) -> dict[str, list[Record]]:
    if not source.is_dir():
        return {"records": _leave_one_out_records(source, titles, negatives, seed)}
    if titles:
        raise InputError("--titles: labelled rows have their own, in items.tsv; leave it out")
    title_of = read_titles(source)
    return {part: from_labelled(read_labelled(source, part), title_of) for part in PARTS}


def _leave_one_out_records(source: Path, titles: Path | None, negatives: int, seed: int) -> list[Record]:
    if titles is None:
        raise InputError("--titles: prompts name items by their titles; give a TSV with item, title")
    read = read_interactions(source)
    items = read.vocabulary.ids(read.sequences.items)
    users = [read.users[k] for k in read.sequences.users]
    for notice in read.notices:
        print(f"{source}: {notice}")
    title_of = _titles(titles, read.vocabulary.item_ids)
    rows = pl.DataFrame({"user_id": users, "item_id": items, "time": range(len(items))})
    return from_interactions(rows, title_of, read.vocabulary.item_ids, negatives, seed)


def _titles(titles: Path, items: Sequence[str]) -> Mapping[str, str]:
    """Read item -> title; items without one are counted, and some must have one."""
    title_of = dict(read_pairs(titles).unique("item", keep="first", maintain_order=True).iter_rows())
    missing = sum(item not in title_of for item in items)
    if missing == len(items):
        raise InputError(f"--titles {titles} names none of the {missing} items: its ids are different")
    if missing:
        print(f"{missing} of {len(items)} items have no title: prompts say Unknown")
    return title_of


def _explain(records: Sequence[Record], genres: Path) -> tuple[list[Record], int]:
    genres_of = read_pairs(genres).group_by("item").agg("value")
    if not {record.target for record in records} & set(genres_of["item"]):
        raise InputError(f"--genres {genres} names none of the target items: its ids are different")
    explained, dropped = with_reasons(records, TemplateTeacher(dict(genres_of.iter_rows())))
    return explained, sum(dropped.values())


def _model_vectors(model: Path, training: Sequence[Record], *, users: bool) -> dict[str, Vectors]:
    """Return the model's vectors of all items and of users, by the names of their shards.

    A user's vector encodes the items before the target. Labelled rows have several targets per user, and the items
    before the newest reveal the labels of the others: there users have no vector."""
    from kitrec.thinkrec.collaborative_vectors import load_collaborative_encoder  # torch is only needed here

    folder = next(iter(sorted(model.glob("best-*"))), model)
    encoder, histories = load_collaborative_encoder(folder), {r.user: r.history for r in training if users}
    if not set(encoder.vocabulary.item_ids) & {item for r in training for item in (r.target, *r.history)}:
        raise InputError(f"--model {model} knows none of these items: give one that was trained on them")
    of_users, of_items = encoder.encode_histories(histories)
    if users:
        return {"items": of_items, "users": of_users}
    print("labelled rows: vectors of items only, since a user's single vector would reveal the labels of earlier rows")
    return {"items": of_items}


def _mf_vectors(source: Path, seed: int) -> dict[str, Vectors]:
    """Return MF's vectors; as in CoLLM, a user's is learned from all training rows, the target row included."""
    from kitrec.thinkrec.collaborative_vectors import labelled_model_vectors  # torch is only needed here
    from kitrec.thinkrec.labelled_training import MATRIX, fit_labelled

    train, valid = (read_labelled(source, part) for part in ("train", "valid"))
    fitted = fit_labelled(MATRIX, train, valid, seed)
    best = fitted.rows[fitted.best_epoch - 1]
    print(f"MF: epoch {fitted.best_epoch}, validation AUC {best['auc']:.4f}, UAUC {best['uauc']:.4f}")
    users, items = labelled_model_vectors(fitted, train)
    return {"users": users, "items": items}


def _write_shards(vectors: Mapping[str, Vectors], draft: Path) -> dict[str, str]:
    for name, table in vectors.items():
        write_shard(table, draft / f"{name}.safetensors")
    return {name: f"{name}.safetensors" for name in vectors}
