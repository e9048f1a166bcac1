"""Vectors of titles, by a sentence-transformer, by the mean of a BERT's last layer, or by TF-IDF and SVD.

    text of an item     "Title. Genres: a, b"
    sentence            whatever the model pools; any model of sentence-transformers, one folder or one name of the hub
    bert                mean over the tokens of the last hidden layer
    tfidf               1-2-grams, at most 5,000 terms in at least 2 titles, English stop words, SVD to 384 dimensions
All are L2-normalised (a title without any term keeps its zero vector)."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import polars as pl
from rich.progress import track

from kitrec.core import files
from kitrec.core.errors import InputError

TERMS, RARE, WIDTH = 5000, 2, 384


def texts(titles: pl.DataFrame, genres: pl.DataFrame | None) -> pl.DataFrame:
    """item, text in the order of the titles; both tables have the columns item and value."""
    if genres is None:
        return titles.select("item", text="value")
    listed = genres.group_by("item", maintain_order=True).agg(pl.col("value").str.join(", ").alias("genres"))
    joined = titles.join(listed, on="item", how="left", maintain_order="left")
    both = pl.concat_str("value", pl.lit(". Genres: "), "genres")
    return joined.select("item", text=pl.coalesce(both, "value"))


def by_tfidf(lines: list[str], seed: int) -> np.ndarray:
    """[n, d]; d is 384, or less where there are fewer titles or terms."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    try:
        terms = TfidfVectorizer(
            max_features=TERMS, ngram_range=(1, 2), min_df=RARE, stop_words="english"
        ).fit_transform(lines)
    except ValueError:
        raise InputError(
            f"no term stands in {RARE} or more of the {len(lines)} titles: TF-IDF has nothing to say"
        ) from None
    width = min(WIDTH, min(terms.shape) - 1)
    if width < 1:
        raise InputError(f"{len(lines)} titles with {terms.shape[1]} common terms are too few for TF-IDF")
    return normalised(TruncatedSVD(width, random_state=seed).fit_transform(terms))


def by_sentences(lines: list[str], model: str, batch: int) -> np.ndarray:
    """[n, d] by a sentence-transformer."""
    from sentence_transformers import SentenceTransformer

    with _named(model):
        encoder = SentenceTransformer(model, trust_remote_code=False)
    return normalised(encoder.encode(lines, batch_size=batch, show_progress_bar=True, convert_to_numpy=True))


def by_bert(lines: list[str], model: str, batch: int) -> np.ndarray:
    """[n, d] by the mean of the last hidden layer over a text's own tokens."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    with _named(model):
        tokenizer, encoder = AutoTokenizer.from_pretrained(model), AutoModel.from_pretrained(model).eval()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    encoder, found = encoder.to(device), []
    with torch.inference_mode():
        for start in track(range(0, len(lines), batch), description="titles"):
            asked = tokenizer(lines[start : start + batch], padding=True, truncation=True, return_tensors="pt").to(
                device
            )
            hidden, real = encoder(**asked).last_hidden_state, asked["attention_mask"][..., None]
            found.append(((hidden * real).sum(1) / real.sum(1)).float().cpu().numpy())
    return normalised(np.concatenate(found))


def normalised(vectors: np.ndarray) -> np.ndarray:
    """Rows of length 1; zero rows stay."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(length > 0, length, 1)).astype(np.float32)


def write_vectors(items: list[str], vectors: np.ndarray, to: Path) -> None:
    """An embeddings file; one that was there is kept beside it as <name>.backup."""
    if to.exists():
        to.replace(to.with_name(f"{to.name}.backup"))
    with files.atomic(to) as draft, draft.open("w", encoding="utf-8") as stream:
        stream.write("item\ttitle\n")
        for item, vector in zip(items, vectors, strict=True):
            stream.write(f"{item}\t{' '.join(f'{value:.6g}' for value in vector)}\n")


@contextmanager
def _named(model: str) -> Iterator[None]:
    """A model that is not to be had is one sentence."""
    try:
        yield
    except (OSError, ValueError) as problem:
        reason = str(problem).splitlines()[0]
        raise InputError(
            f"the model {model} could not be loaded ({reason}): give a folder, or a name of the hub"
        ) from None
