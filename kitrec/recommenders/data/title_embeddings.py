"""Title embeddings from a sentence-transformer, the mean of a BERT's last layer, or TF-IDF with SVD.

    text of an item     "Title. Genres: a, b"
    sentence            the model's own pooling; any sentence-transformers model, a folder or a name on the hub
    bert                mean over the tokens of the last hidden layer
    tfidf               1-2-grams, at most 5,000 terms in at least 2 titles, English stop words, SVD to 384 dimensions
All are L2-normalised (a title without any term keeps its zero vector)."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import polars as pl
from rich.progress import track

from kitrec.core import files
from kitrec.core.errors import InputError

MAX_TERMS, MIN_DOCUMENTS, WIDTH = 5000, 2, 384


def item_texts(titles: pl.DataFrame, genres: pl.DataFrame | None) -> pl.DataFrame:
    """Return item, text in the order of the titles; both tables have the columns item and value."""
    if genres is None:
        return titles.select("item", text="value")
    joined_genres = genres.group_by("item", maintain_order=True).agg(pl.col("value").str.join(", ").alias("genres"))
    joined = titles.join(joined_genres, on="item", how="left", maintain_order="left")
    both = pl.concat_str("value", pl.lit(". Genres: "), "genres")
    return joined.select("item", text=pl.coalesce(both, "value"))


def tfidf_embeddings(texts: list[str], seed: int) -> np.ndarray:
    """Embed texts as [n, d]; d is 384, or less if there are fewer texts or terms."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    try:
        terms = TfidfVectorizer(
            max_features=MAX_TERMS, ngram_range=(1, 2), min_df=MIN_DOCUMENTS, stop_words="english"
        ).fit_transform(texts)
    except ValueError:
        raise InputError(
            f"no term occurs in {MIN_DOCUMENTS} or more of the {len(texts)} titles, so TF-IDF has no vector: "
            "use another kind of embedding"
        ) from None
    width = min(WIDTH, min(terms.shape) - 1)
    if width < 1:
        raise InputError(f"{len(texts)} titles with {terms.shape[1]} common terms are too few for TF-IDF")
    return l2_normalize(TruncatedSVD(width, random_state=seed).fit_transform(terms))


def sentence_embeddings(texts: list[str], model: str, batch_size: int) -> np.ndarray:
    """Embed texts as [n, d] with a sentence-transformer."""
    from sentence_transformers import SentenceTransformer

    with _load_errors(model):
        encoder = SentenceTransformer(model, trust_remote_code=False)
    return l2_normalize(
        encoder.encode(texts, batch_size=batch_size, show_progress_bar=sys.stderr.isatty(), convert_to_numpy=True)
    )


def bert_embeddings(texts: list[str], model: str, batch_size: int) -> np.ndarray:
    """Embed texts as [n, d] by the mean of the last hidden layer over a text's real tokens."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    with _load_errors(model):
        tokenizer, encoder = AutoTokenizer.from_pretrained(model), AutoModel.from_pretrained(model).eval()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    encoder, parts = encoder.to(device), []
    with torch.inference_mode():
        for start in track(range(0, len(texts), batch_size), description="titles"):
            part = texts[start : start + batch_size]
            tokens = tokenizer(part, padding=True, truncation=True, return_tensors="pt").to(device)
            hidden, mask = encoder(**tokens).last_hidden_state, tokens["attention_mask"][..., None]
            parts.append(((hidden * mask).sum(1) / mask.sum(1)).float().cpu().numpy())
    return l2_normalize(np.concatenate(parts))


def l2_normalize(vectors: np.ndarray) -> np.ndarray:
    """Scale rows to length 1; zero rows stay zero."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(norms > 0, norms, 1)).astype(np.float32)


def write_embeddings(items: list[str], vectors: np.ndarray, to: Path) -> None:
    """Write an embeddings file; an existing one is kept as <name>.backup."""
    if to.exists():
        to.replace(to.with_name(f"{to.name}.backup"))
    with files.atomic(to) as draft, draft.open("w", encoding="utf-8") as stream:
        stream.write("item\ttitle\n")
        for item, vector in zip(items, vectors, strict=True):
            stream.write(f"{item}\t{' '.join(f'{value:.6g}' for value in vector)}\n")


@contextmanager
def _load_errors(model: str) -> Iterator[None]:
    """Turn the errors of a model that cannot be loaded into one sentence."""
    try:
        yield
    except (OSError, ValueError) as problem:
        reason = str(problem).splitlines()[0]
        raise InputError(
            f"the model {model} could not be loaded ({reason}): give a folder, or a name on the hub"
        ) from None
