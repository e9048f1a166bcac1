"""`kitrec thinkrec-records`: ThinkRec's records from interactions or labelled rows of one's own."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import polars as pl
import typer

from kitrec.core import files
from kitrec.core.errors import InputError
from kitrec.recommenders.data.interaction_files import read_interactions
from kitrec.recommenders.data.metadata_files import pairs
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
            "1), train_history.tsv, items.tsv, the same of valid and test"
        ),
    ],
    to: Annotated[Path, typer.Option(help="folder to write")],
    titles: Annotated[Path | None, typer.Option(help="TSV with item, title; labelled rows bring theirs")] = None,
    genres: Annotated[
        Path | None, typer.Option(help="TSV with item, genre: each record also says why, by what genres it shares")
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            help="sequence model of `kitrec fit` (its best-*), or a folder of data/idrec (bpr_mf too): vectors of "
            "items, of users too where each is asked once"
        ),
    ] = None,
    mf: Annotated[
        bool,
        typer.Option(
            "--mf", help="labelled rows: learn matrix factorisation from train, show its vectors of users and items"
        ),
    ] = False,
    negatives: Annotated[int, typer.Option(min=1, help="untouched items asked beside each user's last")] = 3,
    seed: int = 42,
) -> None:
    """Ask of each user's last item whether they liked it, of others too; or take rows that say so already."""
    if to.exists():
        raise InputError(f"{to} is there already: move it away, or name another folder")
    if titles and source.is_dir():
        raise InputError("--titles: labelled rows bring theirs, in items.tsv; leave it out")
    if mf and (model or not source.is_dir()):
        raise InputError("--mf learns from a folder of labelled rows, in place of --model: give one of them")
    parts = _labelled(source) if source.is_dir() else {"records": _asked(source, titles, negatives, seed)}
    with files.whole(to) as draft:
        draft.mkdir()
        learned = parts.get("train", parts.get("records", []))
        shards = _factorised(source, seed) if mf else {}
        shards |= _seen_by(model, learned, users=not source.is_dir()) if model else {}
        named = _written(shards, draft)
        for part, records in parts.items():
            explained, dropped = _explained(records, genres) if genres and records is learned else ([], 0)
            write_records([*records, *explained], draft / f"{part}.jsonl", **named)
            without = f", {dropped} without one that fits their verdict" if dropped else ""
            print(f"{to / part}.jsonl: {len(records)} records, {len(explained)} with a reason{without}")


def _asked(source: Path, titles: Path | None, negatives: int, seed: int) -> list[Record]:
    if titles is None:
        raise InputError("--titles: prompts name items by their titles; give a TSV with item, title")
    read = read_interactions(source)
    items = read.vocabulary.ids(read.sequences.items)
    users = [read.users[k] for k in read.sequences.users]
    if read.left_out:
        print(f"{source}: {read.left_out} unusable rows left out")
    named = _named(titles, read.vocabulary.item_ids)
    rows = pl.DataFrame({"user_id": users, "item_id": items, "time": range(len(items))})
    return from_interactions(rows, named, read.vocabulary.item_ids, negatives, seed)


def _named(titles: Path, items: Sequence[str]) -> Mapping[str, str]:
    """item -> title; items without one are counted, and some must have one."""
    named = _first(titles)
    missing = sum(item not in named for item in items)
    if missing == len(items):
        raise InputError(f"--titles {titles} names none of the {missing} items: its ids are others")
    if missing:
        print(f"{missing} of {len(items)} items have no title: prompts say Unknown")
    return named


def _labelled(source: Path) -> dict[str, list[Record]]:
    titles = read_titles(source)
    return {part: from_labelled(read_labelled(source, part), titles) for part in PARTS}


def _explained(records: Sequence[Record], genres: Path) -> tuple[list[Record], int]:
    listed = pairs(genres).group_by("item").agg("value")
    if not {own.target for own in records} & set(listed["item"]):
        raise InputError(f"--genres {genres} names none of the items that are asked: its ids are others")
    explained, dropped = with_reasons(records, TemplateTeacher(dict(listed.iter_rows())))
    return explained, sum(dropped.values())


def _first(table: Path) -> Mapping[str, str]:
    return dict(pairs(table).unique("item", keep="first", maintain_order=True).iter_rows())


def _seen_by(model: Path, learned: Sequence[Record], *, users: bool) -> dict[str, Vectors]:
    """The model's vectors of all items and of users, by the names that records give them.

    A user is what came before the item that is asked. Labelled rows ask at many times, and what came before the newest
    tells the answers of the others: there users have no vector."""
    from kitrec.thinkrec.collaborative_vectors import load_seeing  # torch is only needed here

    folder = next(iter(sorted(model.glob("best-*"))), model)
    seeing, histories = load_seeing(folder), {own.user: own.history for own in learned if users}
    if not set(seeing.vocabulary.item_ids) & {item for own in learned for item in (own.target, *own.history)}:
        raise InputError(f"--model {model} knows none of these items: give one that was trained on them")
    of_users, of_items = seeing.of_histories(histories)
    if users:
        return {"items": of_items, "users": of_users}
    print("labelled rows: vectors of items alone, since a user's one vector would know earlier rows' answers")
    return {"items": of_items}


def _factorised(source: Path, seed: int) -> dict[str, Vectors]:
    """MF's vectors; as in CoLLM a user's was learned from all their training rows, the asked one too."""
    from kitrec.thinkrec.collaborative_vectors import of_labelled_model  # torch is only needed here
    from kitrec.thinkrec.labelled_training import MATRIX, fit_labelled

    train, valid = (read_labelled(source, part) for part in ("train", "valid"))
    fitted = fit_labelled(MATRIX, train, valid, seed)
    best = fitted.rows[fitted.best_epoch - 1]
    print(f"MF: epoch {fitted.best_epoch}, validation AUC {best['auc']:.4f}, UAUC {best['uauc']:.4f}")
    users, items = of_labelled_model(fitted, train)
    return {"users": users, "items": items}


def _written(shards: Mapping[str, Vectors], draft: Path) -> dict[str, str]:
    for name, own in shards.items():
        write_shard(own, draft / f"{name}.safetensors")
    return {name: f"{name}.safetensors" for name in shards}
