"""The best items of all users of interaction files, one TSV for each file: user, rank, item, score, ranked_by.

A file is ranked by itself, so its users' whole histories must stand in it, and as many files as there are workers are
ranked side by side: by Ray Data, on this machine or on the cluster at RAY_ADDRESS, whose nodes see the same paths. A
file whose TSV is there is done; what was killed is ranked again. Users without an item that the model knows get the
most popular items."""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from kitrec.core import files
from kitrec.core.errors import InputError
from kitrec.onnx.inference import load_scorer
from kitrec.recommenders.data.interaction_files import Interactions, read_interactions
from kitrec.recommenders.data.metadata_files import YEARS, read_years
from kitrec.recommenders.data.sequences import Sequences, sequences_from_rows
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.recommenders.ranking.top_k import TopK, predict, repeats_of

MOST = 0.5  # share of unknown interactions above which a model is one of other items
EXAMPLES = 3  # ids named in a message


@dataclass(frozen=True)
class RankingOptions:
    """The folder of a model, and what it is asked for."""

    model: Path
    topk: int
    exclude: Path | None  # items never to recommend, one per line
    metadata: Path | None  # a folder with years.tsv
    columns: dict[str, str]


@dataclass(frozen=True)
class RankedFile:
    """What was ranked: users, those ranked by popularity, what there is to say about the file, and about any file."""

    to: Path
    users: int
    cold: int
    notices: tuple[str, ...]
    of_options: tuple[str, ...]


class FileRanker:
    """A loaded model that ranks files."""

    def __init__(self, options: RankingOptions) -> None:
        self.options, self.scorer = options, load_scorer(options.model)
        self.excluded, excluded = _excluded(options.exclude, self.scorer.vocabulary)
        self.years, years = _years(options.metadata, self.scorer.vocabulary)
        without = "without --metadata: items released after a user's last interaction were not excluded"
        self._of_options = (*excluded, *(years if self.years is not None else [without]))

    def rank(self, interactions: Path, to: Path) -> RankedFile:
        """Write the best items of a file's users."""
        read = read_interactions(interactions, repeats=repeats_of(self.scorer), columns=self.options.columns)
        numbers = self.scorer.vocabulary.numbers(pl.Series(read.vocabulary.ids(read.sequences.items)))
        known = numbers > 0
        _require_known_items(self.options.model, interactions, read, known)
        histories = sequences_from_rows(read.sequences.users[known], numbers[known], len(read.users))
        last_years = None if self.years is None else read.last_years()
        ranked = predict(self.scorer, histories, self.options.topk, self.excluded, self.years, last_years)
        cold = _write_ranked(to, read.users, ranked, histories)
        unknown = f"{int((~known).sum())} interactions with unknown items"
        notices = [*read.notices, f"{to}: {len(read.users)} users; {unknown}, {_cold_users(cold)}"]
        if self.years is not None:
            with_them = ranked.users_with_future_items
            notices.append(f"{ranked.future_items} items released later excluded, for {with_them} users")
        return RankedFile(to, len(read.users), len(cold), tuple(notices), self._of_options)


def rank_files(options: RankingOptions, pairs: list[tuple[Path, Path]], workers: int) -> Iterator[RankedFile]:
    """Rank files of interactions, each to a TSV; yield them as they are done."""
    workers = min(workers, len(pairs))
    if workers <= 1:
        ranker = FileRanker(options)
        for interactions, to in pairs:
            yield ranker.rank(interactions, to)
        return
    if find_spec("ray") is None:
        raise InputError("--workers needs Ray: pip install -r requirements-cluster.txt, or leave it out")
    yield from _by_ray(options, pairs, workers)


def _by_ray(options: RankingOptions, pairs: list[tuple[Path, Path]], workers: int) -> Iterator[RankedFile]:
    import ray  # only where workers are asked for
    import ray.data

    if not ray.is_initialized():
        ray.init(log_to_driver=False)
    rows = ray.data.from_items(
        [{"interactions": str(path.resolve()), "to": str(to.resolve())} for path, to in pairs],
        override_num_blocks=len(pairs),
    )
    gpus = 1 if ray.cluster_resources().get("GPU") else 0
    ranked = rows.map_batches(
        RayWorker, fn_constructor_args=(options,), batch_size=1, concurrency=workers, num_cpus=1, num_gpus=gpus
    )
    for row in ranked.iter_rows():
        if row["problem"]:
            raise InputError(row["problem"])
        said = (tuple(row[name].splitlines()) for name in ("notices", "of_options"))
        yield RankedFile(Path(row["to"]), int(row["users"]), int(row["cold"]), *said)


class RayWorker:
    """Ranks one file after the other, with the model loaded once."""

    def __init__(self, options: RankingOptions) -> None:
        self._ranker = FileRanker(options)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        """Rank the file of a batch; what is wrong with it is returned, since Ray's own errors hide the message."""
        (path,), (to,) = batch["interactions"], batch["to"]
        try:
            ranked = self._ranker.rank(Path(path), Path(to))
        except InputError as problem:
            ranked, failed = RankedFile(Path(to), 0, 0, (), ()), str(problem)
        else:
            failed = ""
        said = {name: ["\n".join(getattr(ranked, name))] for name in ("notices", "of_options")}
        return {"to": [to], "users": [ranked.users], "cold": [ranked.cold], **said, "problem": [failed]}


def _excluded(path: Path | None, vocabulary: Vocabulary) -> tuple[np.ndarray | None, list[str]]:
    """Return the numbers of the items never to recommend, and what there is to say about them."""
    if path is None:
        return None, []
    try:
        items = pl.Series(path.read_text(encoding="utf-8").split("\n"), dtype=pl.String)
    except (OSError, UnicodeDecodeError) as problem:
        raise InputError(
            f"--exclude {path} cannot be read ({problem}): give a text file with one item per line"
        ) from None
    numbers = vocabulary.numbers(items.filter(items != ""))
    unknown = int((numbers == 0).sum())
    return numbers[numbers > 0], [f"{path}: {unknown} items unknown to the model"] if unknown else []


def _years(folder: Path | None, vocabulary: Vocabulary) -> tuple[np.ndarray | None, list[str]]:
    """Return the release years of items [N + 1], and what there is to say about them."""
    if folder is None:
        return None, []
    if not (folder / YEARS).exists():
        raise InputError(f"{folder / YEARS} is missing: omit --metadata to predict without years")
    years, notice = read_years(folder / YEARS, vocabulary)
    return years, [notice]


def _require_known_items(model: Path, path: Path, read: Interactions, known: np.ndarray) -> None:
    """Refuse interactions that are mostly with items outside the model's vocabulary: it is one of other items."""
    if (~known).mean() > MOST:
        examples = ", ".join(dict.fromkeys(read.vocabulary.ids(read.sequences.items[~known][:EXAMPLES])))
        raise InputError(
            f"{model} does not know the items of {(~known).mean():.0%} of the interactions ({int((~known).sum()):,} of "
            f"{len(known):,}) in {path}, e.g. {examples}: give the model of these items, or `kitrec fit` one"
        )


def _write_ranked(to: Path, users: list[str], ranked: TopK, histories: Sequences) -> list[str]:
    """Write the TSV; return the users without a history that the model knows."""
    with files.atomic(to) as draft, draft.open("w", encoding="utf-8") as stream:
        stream.write("user\trank\titem\tscore\tranked_by\n")
        ranked_by = np.where(histories.lengths > 0, "model", "popularity").tolist()
        for user, items, scores, by in zip(users, ranked.items, ranked.scores, ranked_by, strict=True):
            for rank, (item, score) in enumerate(zip(items, scores, strict=True), start=1):
                stream.write(f"{user}\t{rank}\t{item}\t{score:.6g}\t{by}\n")
    return [user for user, by in zip(users, ranked_by, strict=True) if by == "popularity"]


def _cold_users(cold: list[str]) -> str:
    more = ", ..." if len(cold) > EXAMPLES else ""
    examples = f", as the model knows none of their items: {', '.join(cold[:EXAMPLES])}{more}" if cold else ""
    return f"{len(cold)} users ranked by popularity{examples}"
