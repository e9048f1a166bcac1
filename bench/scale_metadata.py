"""The item metadata of `bench.scale`: title vectors read from a file, genres of a batch."""

import hashlib
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench import scale_before as before
from bench.claims import Claim, at_least, at_most
from bench.running import peak_above_now
from bench.scale_world import ITEMS, processor_seconds
from kitrec.core.errors import InputError
from kitrec.recommenders.data.item_features import ItemFeatures
from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.data.title_vectors import read_vectors
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.recommenders.models.metadata_fusion import Fusion
from kitrec.recommenders.models.params import Metadata

COMMAND = "make bench-scale"
ROWS, WIDTH = (4_000, 16_000), 1024  # of two files of title vectors: memory is that of the rows in between
GENRES, POSITIONS, REPEATS = 30, 6_400, 5

Measured = tuple[list[Claim], list[dict[str, Any]]]


def titles() -> Measured:
    """Return memory a value, the file read in blocks and as one table, each in a process of its own."""
    bytes_of, digests = {}, set()
    with tempfile.TemporaryDirectory() as work:
        for rows in ROWS:
            _write(Path(work) / f"{rows}.tsv", rows)
        for name in ("titles, one table", "titles, in blocks"):
            peaks = []
            for rows in ROWS:
                with ProcessPoolExecutor(1, get_context("spawn")) as process:
                    peak, digest = process.submit(_peak, name, Path(work) / f"{rows}.tsv", rows).result()
                peaks.append(peak)
                digests.add((rows, digest))
            bytes_of[name] = (peaks[1] - peaks[0]) * 2**20 / ((ROWS[1] - ROWS[0]) * WIDTH)
    if len(digests) != len(ROWS):
        raise InputError("titles: the vectors differ from those of the former code; correct it first")
    claims = [at_most("titles, 1,024 wide: memory of a value", bytes_of["titles, in blocks"], 6, "bytes", COMMAND)]
    return claims, [{"what": name, "bytes a value": round(size, 1)} for name, size in bytes_of.items()]


def _peak(name: str, path: Path, rows: int) -> tuple[int, str]:
    """Return the peak in MiB and a hash of the vectors."""
    vocabulary = Vocabulary(f"i{row:06d}" for row in range(rows))
    peak = peak_above_now()
    vectors = (
        read_vectors(path, vocabulary)[0]
        if name == "titles, in blocks"
        else before.vectors_of_a_whole_table(path, vocabulary)
    )
    return peak(), hashlib.sha256(np.ascontiguousarray(vectors).data).hexdigest()


def genres() -> Measured:
    """Return the time of a forward and backward pass over the genres of a batch."""
    rng = np.random.default_rng(0)
    starts = np.concatenate([[0], np.cumsum(rng.integers(0, 5, ITEMS + 2))])
    lists = Sequences(rng.integers(0, GENRES, starts[-1]), starts)
    p = Metadata(features=["genre"], fusion="add", dropout=0.0)
    layer = Fusion(64, ItemFeatures({"genre": lists}, {"genre": GENRES}), p, mask=ITEMS + 1)
    items, nothing = torch.from_numpy(rng.integers(1, ITEMS + 1, POSITIONS)), torch.zeros(POSITIONS, 64)
    former, expected = processor_seconds(
        partial(_pass, partial(before.means_of_all_items, layer.bags["genre"], lists, items))
    )
    seconds, means = processor_seconds(partial(_pass, partial(layer, nothing, items)), REPEATS)
    if not torch.equal(means, expected):
        raise InputError("genres: the means differ from those of the former code; correct it first")
    claims = [
        at_least("genres: a pass over a batch", former / seconds, 10, "x", COMMAND, peer="all items in each pass")
    ]
    times = {"genres, a batch over all items": former, "genres, a batch over its items": seconds}
    return claims, [{"what": name, "ms a batch": round(1000 * value, 2)} for name, value in times.items()]


def _pass(means_of: Any) -> torch.Tensor:
    means: torch.Tensor = means_of()
    means.sum().backward()
    return means.detach()


def _write(path: Path, rows: int) -> None:
    rng = np.random.default_rng(0)
    with path.open("w") as stream:
        stream.write("item\ttitle\n")
        for row in range(rows):
            stream.write(f"i{row:06d}\t{' '.join(f'{value:.6g}' for value in rng.normal(size=WIDTH))}\n")
