"""Is the effect there? Reads the results of the last `dvc repro evaluate`.   make bench-effect   (seconds)

Paired tests are McNemar's exact test: of the users where exactly one of two methods hits, how many the first one does,
against a fair coin (scipy's binomtest). The share closed is (method - random) / (text-only oracle - random)."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl
from scipy.stats import binomtest

from bench.claims import Claim, at_least, at_most, publish
from bench.running import start
from bench.themes import named_themes
from kitrec.core import params, tables
from kitrec.core.domains import CORES, TARGETS
from kitrec.preprocessing.params import Candidates
from kitrec.schemas.scores import SCORES
from kitrec.synthetic.params import World
from stages.lib import paths

COMMAND = "make bench-effect"
HIT = "hit@1"
TUNED, BASE, ORACLE = "kitrec_full", "base_direct", "oracle_text"
SETS = ("A", "B")


def main() -> None:
    """Test and publish."""
    hits = {which: _hits(paths.of_set(paths.SCORES, which)) for which in SETS}
    chance = 1 / params.load(Candidates, "candidates").count
    claims = [
        *(_better(hits[which], which, target) for which in SETS for target in TARGETS),
        *_closed(hits["B"], chance),
        *(claim for which in SETS for claim in _base_alone(hits[which], which, chance)),
        *(_most_where_history_is_short(hits[which], which) for which in SETS),
        _set_b_is_easier(hits),
        *(_below_the_oracle(hits[which], which) for which in SETS),
        *(_themes(which) for which in SETS),
    ]
    details = {f"Hit@1 by core, set {which}": _by_core(hits[which], chance) for which in SETS}
    publish("effect", claims, details)


def _hits(path: Path) -> pl.DataFrame:
    """One row per user and column per method, of the rankings of all candidates: the same depth for all methods."""
    scores = tables.read(path, SCORES).filter(pl.col("kind") == "scored")
    return scores.pivot("method", index=["record_id", "user_id", "target", "core"], values=HIT)


def paired(first: pl.Series, second: pl.Series) -> float:
    """McNemar's exact p, two-sided, of two columns of hits."""
    wins, losses = int((first > second).sum()), int((first < second).sum())
    return float(binomtest(wins, wins + losses).pvalue) if wins + losses else 1.0


def _better(hits: pl.DataFrame, which: str, target: str) -> Claim:
    own = hits.filter(pl.col("target") == target)
    tuned, base = _mean(own, TUNED), _mean(own, BASE)
    text = f"{TUNED} {tuned:.3f} above {BASE} {base:.3f} (set {which}, {target}, n = {own.height}), p"
    return at_most(text, paired(own[TUNED], own[BASE]) if tuned > base else 1.0, 0.01, "", COMMAND, peer=BASE)


def _closed(hits: pl.DataFrame, chance: float) -> Iterable[Claim]:
    own = hits.filter(pl.col("core") == "1")
    text = f"{TUNED}, 1-core users of set B (n = {own.height}): share closed from random to the text-only oracle"
    yield at_least(text, _share(own, TUNED, chance), 0.3, "", COMMAND, peer="text-only oracle")


def _share(own: pl.DataFrame, method: str, chance: float) -> float:
    return (_mean(own, method) - chance) / (_mean(own, ORACLE) - chance)


def _mean(own: pl.DataFrame, method: str) -> float:
    return float(own[method].to_numpy().mean())


def _base_alone(hits: pl.DataFrame, which: str, chance: float) -> Iterable[Claim]:
    """The base knows no map: it needs target history."""
    for has_history, words in ((True, "some"), (False, "no")):
        own = hits.filter((pl.col("core") != "1") == has_history)
        right, n = int(own[BASE].sum()), own.height
        side = "greater" if has_history else "two-sided"
        p = float(binomtest(right, n, chance, alternative=side).pvalue)
        text = f"{BASE} with {words} target history: {right / n:.3f} (set {which}, n = {n}), random {chance:.3f}, p"
        yield at_most(text, p, 0.05, "", COMMAND) if has_history else at_least(text, p, 0.05, "", COMMAND)


def _most_where_history_is_short(hits: pl.DataFrame, which: str) -> Claim:
    """Where only the map can help, fine-tuning gains more than elsewhere."""
    short, long = (hits.filter(pl.col("core").is_in(["1", "2"]) == one) for one in (True, False))
    gains = [_mean(own, TUNED) - _mean(own, BASE) for own in (short, long)]
    text = f"gain over {BASE}, set {which}: {gains[0]:.3f} for 1- and 2-core users, {gains[1]:.3f} for others"
    return at_least(text, gains[0] / gains[1], 1, "x", COMMAND)


def _set_b_is_easier(hits: dict[str, pl.DataFrame]) -> Claim:
    easy, hard = (_mean(hits[which], TUNED) for which in ("B", "A"))
    return at_least(f"{TUNED}: set B {easy:.3f} against set A {hard:.3f}", easy / max(hard, 1e-9), 1, "x", COMMAND)


def _below_the_oracle(hits: pl.DataFrame, which: str) -> Claim:
    best, oracle = _mean(hits, TUNED), _mean(hits, ORACLE)
    return at_most(f"{TUNED} of the text-only oracle's Hit@1, set {which}", best / oracle, 1, "", COMMAND)


def _themes(which: str) -> Claim:
    """Themes that thoughts name in the target's words, against drawing themes blindly."""
    world = params.load(World, "world")
    named, liked = named_themes(TUNED, which)
    p = float(binomtest(liked, named, world.favourites / world.themes, alternative="greater").pvalue)
    text = f"{liked} of {named} themes named in the target's words are the reader's (set {which}), p"
    return at_most(text, p, 0.01, "", COMMAND, peer=f"{world.favourites} of {world.themes} by chance")


def _by_core(hits: pl.DataFrame, chance: float) -> list[dict[str, Any]]:
    rows = []
    for core in CORES:
        own = hits.filter(pl.col("core") == core)
        means = {method: round(_mean(own, method), 3) for method in (BASE, TUNED, ORACLE)}
        p = f"{paired(own[TUNED], own[BASE]):.2g}"
        closed = f"{_share(own, TUNED, chance):.0%}"
        rows.append({"core": core, "n": own.height, "random": chance, **means, "paired p": p, "closed": closed})
    return rows


if __name__ == "__main__":
    start(main, __doc__)
