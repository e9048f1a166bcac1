"""`kitrec title-embeddings` and `kitrec predict`: embeddings for and predictions of models over item ids."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import polars as pl
import typer

from kitrec.cli.encoders import local_or_reachable
from kitrec.cli.fit import Columns, InteractionFile, make_writable
from kitrec.core import files
from kitrec.core.errors import InputError
from kitrec.recommenders.data import title_embeddings as embeddings
from kitrec.recommenders.data.interaction_files import Interactions, read_interactions
from kitrec.recommenders.data.interaction_table import parse_columns
from kitrec.recommenders.data.metadata_files import YEARS, holds_embeddings, read_pairs, read_years
from kitrec.recommenders.data.sequences import Sequences, sequences_from_rows
from kitrec.recommenders.data.vocabulary import Vocabulary

if TYPE_CHECKING:
    from kitrec.recommenders.ranking.top_k import TopK

MOST = 0.5  # share of unknown interactions above which a model is one of other items
EXAMPLES = 3  # ids named in a message
Metadata = Annotated[Path, typer.Argument(help="folder with titles.tsv (item, title) and optionally genres.tsv")]


def title_embeddings(
    metadata: Metadata,
    to: Annotated[Path, typer.Option(help="embeddings file to write; an existing file becomes <name>.backup")],
    method: Annotated[Literal["tfidf", "sentence", "bert"], typer.Option(help="tfidf needs no model")] = "tfidf",
    model: Annotated[
        str,
        typer.Option(
            help="a folder or a hub name: sentence-transformers/all-mpnet-base-v2, mixedbread-ai/mxbai-embed-large-v1, "
            "jhgan/ko-sroberta-multitask (Korean), google-bert/bert-base-uncased (for bert), ..."
        ),
    ] = "sentence-transformers/all-MiniLM-L6-v2",
    batch: Annotated[int, typer.Option(min=1)] = 64,
    seed: int = 42,
) -> None:
    """Embed titles (with their genres) for the item metadata of BERT4Rec."""
    source, genres = metadata / "titles.tsv", metadata / "genres.tsv"
    if source.exists() and holds_embeddings(source):
        raise InputError(f"{source} already holds vectors: name the folder with the raw titles")
    titles = embeddings.item_texts(read_pairs(source), read_pairs(genres) if genres.exists() else None)
    duplicates = titles.filter(pl.col("item").is_duplicated())["item"].unique(maintain_order=True)
    if len(duplicates):
        raise InputError(
            f"{source}: {len(duplicates)} items have several titles, e.g. {', '.join(duplicates.head(3))}: keep one"
        )
    lines = titles["text"].to_list()
    if method != "tfidf":
        model = local_or_reachable(model)
    match method:
        case "tfidf":
            vectors = embeddings.tfidf_embeddings(lines, seed)
        case "sentence":
            vectors = embeddings.sentence_embeddings(lines, model, batch)
        case "bert":
            vectors = embeddings.bert_embeddings(lines, model, batch)
    embeddings.write_embeddings(titles["item"].to_list(), vectors, to)
    print(f"{to}: {len(lines)} titles, {vectors.shape[1]} dimensions")


def predict(
    model: Annotated[
        Path,
        typer.Argument(
            help="folder of a trained model (data/idrec/sasrec), of `kitrec fit` (its best model), or of an ONNX model"
        ),
    ],
    interactions: InteractionFile,
    to: Annotated[Path, typer.Option(help="TSV to write: user, rank, item, score, ranked_by (model or popularity)")],
    topk: Annotated[int, typer.Option(min=1)] = 10,
    exclude: Annotated[Path | None, typer.Option(help="text file of items never to recommend, one per line")] = None,
    metadata: Annotated[
        Path | None, typer.Option(help="folder with years.tsv: exclude items released after a user's last interaction")
    ] = None,
    columns: Columns = None,
) -> None:
    """Write the best items of each user, without items in their history and items released later.

    Users without an item that the model knows get the most popular items."""
    from kitrec.onnx.inference import load_scorer
    from kitrec.recommenders.ranking.top_k import predict as predict_top_k  # imports torch
    from kitrec.recommenders.ranking.top_k import repeats_of

    if to.is_dir():
        raise InputError(f"--to {to} is a folder: name the file to write, e.g. {to / 'best.tsv'}")
    scorer = load_scorer(model)
    read = read_interactions(interactions, repeats=repeats_of(scorer), columns=parse_columns(columns or []))
    print(*read.notices, sep="\n", end="\n" if read.notices else "")
    numbers = scorer.vocabulary.numbers(pl.Series(read.vocabulary.ids(read.sequences.items)))
    in_vocabulary = numbers > 0
    _require_known_items(model, interactions, read, in_vocabulary)
    make_writable(to.parent)
    histories = sequences_from_rows(read.sequences.users[in_vocabulary], numbers[in_vocabulary], len(read.users))
    years, last_years = None, None
    if metadata is not None:
        if not (metadata / YEARS).exists():
            raise InputError(f"{metadata / YEARS} is missing: omit --metadata to predict without years")
        years, notice = read_years(metadata / YEARS, scorer.vocabulary)
        last_years = read.last_years()
        print(notice)
    predicted = predict_top_k(scorer, histories, topk, _numbers_of(exclude, scorer.vocabulary), years, last_years)
    cold = _write_ranked(to, read.users, predicted, histories)
    unknown = f"{int((~in_vocabulary).sum())} interactions with unknown items"
    print(f"{to}: {len(read.users)} users; {unknown}, {len(cold)} users ranked by popularity{_examples(cold)}")
    if years is None:
        print("without --metadata: items released after a user's last interaction were not excluded")
    else:
        print(f"{predicted.future_items} items released later excluded, for {predicted.users_with_future_items} users")


def _require_known_items(model: Path, path: Path, read: Interactions, in_vocabulary: np.ndarray) -> None:
    """Refuse interactions that are mostly with items outside the model's vocabulary: it is one of other items."""
    unknown = ~in_vocabulary
    if unknown.mean() > MOST:
        examples = ", ".join(dict.fromkeys(read.vocabulary.ids(read.sequences.items[unknown][:EXAMPLES])))
        raise InputError(
            f"{model} does not know the items of {unknown.mean():.0%} of the interactions ({int(unknown.sum()):,} of "
            f"{len(unknown):,}) in {path}, e.g. {examples}: give the model of these items, or `kitrec fit` one"
        )


def _write_ranked(to: Path, users: list[str], predicted: "TopK", histories: Sequences) -> list[str]:
    """Write the TSV; return the users without a history that the model knows."""
    with files.atomic(to) as draft, draft.open("w", encoding="utf-8") as stream:
        stream.write("user\trank\titem\tscore\tranked_by\n")
        ranked_by = np.where(histories.lengths > 0, "model", "popularity").tolist()
        for user, items, scores, by in zip(users, predicted.items, predicted.scores, ranked_by, strict=True):
            for rank, (item, score) in enumerate(zip(items, scores, strict=True), start=1):
                stream.write(f"{user}\t{rank}\t{item}\t{score:.6g}\t{by}\n")
    return [user for user, by in zip(users, ranked_by, strict=True) if by == "popularity"]


def _examples(cold: list[str]) -> str:
    more = ", ..." if len(cold) > EXAMPLES else ""
    return f", as the model knows none of their items: {', '.join(cold[:EXAMPLES])}{more}" if cold else ""


def _numbers_of(path: Path | None, vocabulary: Vocabulary) -> np.ndarray | None:
    if path is None:
        return None
    try:
        items = pl.Series(path.read_text(encoding="utf-8").split("\n"), dtype=pl.String)
    except (OSError, UnicodeDecodeError) as problem:
        raise InputError(
            f"--exclude {path} cannot be read ({problem}): give a text file with one item per line"
        ) from None
    numbers = vocabulary.numbers(items.filter(items != ""))
    if (numbers == 0).any():
        print(f"{path}: {int((numbers == 0).sum())} items unknown to the model")
    return numbers[numbers > 0]
