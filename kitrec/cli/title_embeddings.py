"""`kitrec title-embeddings`: vectors of titles for models over item ids."""

from pathlib import Path
from typing import Annotated, Literal

import polars as pl
import typer

from kitrec.cli.encoders import local_or_reachable
from kitrec.core.errors import InputError
from kitrec.recommenders.data import title_embeddings as embeddings
from kitrec.recommenders.data.metadata_files import holds_embeddings, read_pairs

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
