"""`kitrec title-embeddings` and `kitrec predict`: what models over item numbers need and give outside the pipeline."""

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import polars as pl
import typer

from kitrec.core import files
from kitrec.core.errors import InputError
from kitrec.recommenders.data import title_embeddings as embeddings
from kitrec.recommenders.data.interaction_files import read_interactions
from kitrec.recommenders.data.metadata_files import YEARS, is_embeddings, pairs, read_years
from kitrec.recommenders.data.sequences import of_rows
from kitrec.recommenders.data.vocabulary import Vocabulary

Metadata = Annotated[Path, typer.Argument(help="folder with embeddings.tsv (item, title) and perhaps genres.tsv")]


def title_embeddings(
    metadata: Metadata,
    to: Annotated[Path, typer.Option(help="the embeddings file to write; one that is there becomes <name>.backup")],
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
    """Make the vectors of titles (with their genres) that BERT4Rec can fuse into its items."""
    source, genres = metadata / "titles.tsv", metadata / "genres.tsv"
    if source.exists() and is_embeddings(source):
        raise InputError(f"{source} holds vectors already: name the folder of the raw titles")
    listed = embeddings.texts(pairs(source), pairs(genres) if genres.exists() else None)
    twice = listed.filter(pl.col("item").is_duplicated())["item"].unique(maintain_order=True)
    if len(twice):
        raise InputError(
            f"{source}: {len(twice)} items have more than one title, as {', '.join(twice.head(3))}: keep one"
        )
    lines = listed["text"].to_list()
    match method:
        case "tfidf":
            vectors = embeddings.by_tfidf(lines, seed)
        case "sentence":
            vectors = embeddings.by_sentences(lines, model, batch)
        case "bert":
            vectors = embeddings.by_bert(lines, model, batch)
    embeddings.write_vectors(listed["item"].to_list(), vectors, to)
    print(f"{to}: {len(lines)} titles, {vectors.shape[1]} wide")


def predict(
    model: Annotated[
        Path,
        typer.Argument(
            help="folder of a trained model, as data/idrec/sasrec, of `kitrec fit` (its best), or of an ONNX file"
        ),
    ],
    interactions: Annotated[Path, typer.Argument(help="CSV or TSV with user, item, time (seconds since 1970)")],
    to: Annotated[Path, typer.Option(help="TSV to write: user, rank, item, score")],
    topk: Annotated[int, typer.Option(min=1)] = 10,
    exclude: Annotated[
        Path | None, typer.Option(help="a text file of items that nobody is offered, one a line")
    ] = None,
    metadata: Annotated[Path | None, typer.Option(help="folder with years.tsv: nothing from a reader's future")] = None,
) -> None:
    """Write the best items of each reader; what they have seen, and what came out later, is left out."""
    from kitrec.onnx.prediction import load_scorer
    from kitrec.recommenders.ranking.top_k import predict as best_items  # torch is only needed here

    stored = load_scorer(model)
    read = read_interactions(interactions)
    numbers = stored.vocabulary.numbers(pl.Series(read.vocabulary.ids(read.sequences.items)))
    known = numbers > 0
    histories = of_rows(read.sequences.users[known], numbers[known], len(read.users))
    years, visited = None, None
    if metadata is not None:
        if not (metadata / YEARS).exists():
            raise InputError(f"{metadata / YEARS} is missing: without years leave --metadata away")
        years, notice = read_years(metadata / YEARS, stored.vocabulary)
        visited = read.last_years()
        print(notice)
    found = best_items(stored, histories, topk, _numbers_of(exclude, stored.vocabulary), years, visited)
    with files.atomic(to) as draft, draft.open("w", encoding="utf-8") as stream:
        stream.write("user\trank\titem\tscore\n")
        for user, items, scores in zip(read.users, found.items, found.scores, strict=True):
            for rank, (item, score) in enumerate(zip(items, scores, strict=True), start=1):
                stream.write(f"{user}\t{rank}\t{item}\t{score:.6g}\n")
    unknown, cold = int((~known).sum()), int((histories.lengths == 0).sum())
    print(f"{to}: {len(read.users)} readers; {unknown} interactions with unknown items, {cold} readers by popularity")
    if years is None:
        print("years are not told (--metadata): items that came out after a reader's last visit were not left out")
    else:
        print(f"{found.from_the_future} items from the future left out, of {found.readers_with_future} readers")


def _numbers_of(path: Path | None, vocabulary: Vocabulary) -> np.ndarray | None:
    if path is None:
        return None
    try:
        listed = pl.Series(path.read_text(encoding="utf-8").split("\n"), dtype=pl.String)
    except (OSError, UnicodeDecodeError) as problem:
        raise InputError(f"--exclude {path} cannot be read ({problem}): give a text file, an item a line") from None
    numbers = vocabulary.numbers(listed.filter(listed != ""))
    if (numbers == 0).any():
        print(f"{path}: {int((numbers == 0).sum())} items the model does not know")
    return numbers[numbers > 0]
