"""A toy world: a user of a kind takes books and films of that kind, whose words have nothing in common.

Users who are asked have no film yet, so only other users can tell which words belong together."""

from pathlib import Path

import numpy as np
import polars as pl

from kitrec.core.domains import KITREC
from kitrec.llm.base.params import Adapter, Base
from kitrec.llm.base.pinning import PinnedBase, pin
from kitrec.schemas.interactions import SPLIT_INTERACTIONS
from kitrec.titles.calibration import calibrate
from kitrec.titles.params import Embedding, History, Title, TitleTraining
from kitrec.titles.questions import true_columns
from kitrec.titles.storage import Stored
from kitrec.titles.train import Inputs

KINDS = (("Violet", "River"), ("Copper", "Doctor"), ("Panda", "Harbour"), ("Acorn", "Promise"))  # of books, of films
PER_KIND = 4
ADAPTER = Adapter(rank=4, alpha=8, dropout=0.1)


def made_items() -> pl.DataFrame:
    """Return the books B<kind><number> and the films F<kind><number>."""
    rows = [
        {"item_id": f"{domain[0].upper()}{kind}{number}", "domain": domain, "title": f"{words[side]} {number}"}
        for side, domain in enumerate(("books", "movies"))
        for kind, words in enumerate(KINDS)
        for number in range(PER_KIND)
    ]
    return pl.DataFrame(rows)


def made_interactions(users: int, seed: int, *, films: int = 2) -> pl.DataFrame:
    """Return three books and some films of each user's kind; the last film is held out."""
    rng = np.random.default_rng(seed)
    rows = []
    for user in range(users):
        kind = user % len(KINDS)
        books, taken = (rng.permutation(PER_KIND)[:count] for count in (3, films))
        first, *others = [f"B{kind}{number}" for number in books]
        items = [first, *(f"M{kind}{number}" for number in taken[:-1]), *others, f"M{kind}{taken[-1]}"]
        for time, item in enumerate(items):
            domain = "books" if item[0] == "B" else "movies"
            row = {"user_id": f"u{seed}-{user:03}", "domain": domain, "item_id": item, "rating": 5.0, "time": time}
            rows.append(row | {"held_out": item == items[-1]})
    return pl.DataFrame(rows, schema=SPLIT_INTERACTIONS.columns)


def made_records(interactions: pl.DataFrame) -> pl.DataFrame:
    """Return a record per user: the film that was held out among those of all kinds with the same number."""
    held_out = interactions.filter("held_out")
    candidates = [[f"M{k}{item[2]}" for k in range(len(KINDS))] for item in held_out["item_id"]]
    return held_out.select("user_id", gt_item_id="item_id", target="domain").with_columns(
        record_id="user_id", candidate_ids=pl.Series(candidates)
    )


def made_training(**changed) -> TitleTraining:
    fields = {"updates": 4, "validate_every": 2, "batch_size": 8, "learning_rate": 1e-3, "warmup_ratio": 0.0}
    fields |= {"weight_decay": 0.0, "max_grad_norm": 1.0, "patience": 9}
    return TitleTraining(**(fields | changed))


def made_history(**changed) -> History:
    return History(**({"items": 4, "title_tokens": 8, "source_only": 0.5} | changed))


def made_embedding(heads: TitleTraining, adapter: TitleTraining) -> Embedding:
    return Embedding(
        kind="embedding",
        base_weights="f32",
        layers=None,
        history=made_history(),
        width=16,
        dropout=0.0,
        adapter=ADAPTER,
        heads_training=heads,
        adapter_training=adapter,
    )


def made_title(training: TitleTraining, history: History | None = None) -> Title:
    return Title(
        kind="title", base_weights="f32", history=history or made_history(), adapter=ADAPTER, training=training
    )


def pinned(tiny_base: Path) -> PinnedBase:
    return pin(Base(path=str(tiny_base), revision=None))


def made_inputs(tiny_base: Path, work: Path, users: int = 40) -> Inputs:
    work.mkdir(parents=True, exist_ok=True)
    development = made_interactions(16, seed=2, films=1)
    return Inputs(
        base=pinned(tiny_base),
        domains=KITREC,
        items=made_items(),
        train=made_interactions(users, seed=1),
        development=development,
        records=made_records(development),
        seed=3,
        work=work,
    )


def hits(model: Stored, users: int) -> float:
    """Return the share of new users whose film is ranked first; by chance one in four."""
    development, test = (made_interactions(n, seed=seed, films=1) for n, seed in ((16, 2), (users, 9)))
    records = made_records(test)
    known = model.evidence(made_records(development), development)
    calibration, _ = calibrate(known, true_columns(made_records(development)))
    scores = calibration.scores(model.evidence(records, test))
    first = [ids[int(np.argmax(s))] for ids, s in zip(records["candidate_ids"], scores, strict=True)]
    return float(np.mean([item == truth for item, truth in zip(first, records["gt_item_id"], strict=True)]))


class KilledError(Exception):
    """The end of a process."""


def ignore(_phase: str, _progress: object) -> None:
    """Show no progress."""
