"""Effect of fine-tuning, from the results of the last `dvc repro evaluate`.   make bench-effect   (seconds)

Paired tests are McNemar's exact test: of the users where exactly one of two methods hits, the number of the first's
hits against a fair coin (scipy's binomtest). The share closed is (method - random) / (text-only oracle - random).
Themes that thoughts name are held against the users' favourites, which only the synthetic world knows."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl
from scipy.stats import binomtest

from bench.claims import Claim, at_least, at_most, publish
from bench.running import start
from kitrec.core import files, params, tables
from kitrec.core.domains import CORES, KITREC
from kitrec.preprocessing.params import Candidates
from kitrec.schemas.answers import ANSWERS
from kitrec.schemas.records import RECORDS
from kitrec.schemas.scores import SCORES
from kitrec.synthetic.histories import USER_TRUTH
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
        *(_better(hits[which], which, target) for which in SETS for target in KITREC.targets),
        *_closed(hits["B"], chance),
        *(claim for which in SETS for claim in _base_needs_history(hits[which], which, chance)),
        *(_larger_gain_with_short_history(hits[which], which) for which in SETS),
        _set_b_is_easier(hits),
        *(_below_the_oracle(hits[which], which) for which in SETS),
        *(_themes(which) for which in SETS),
    ]
    details = {f"Hit@1 by core, set {which}": _by_core(hits[which], chance) for which in SETS}
    publish("effect", claims, details)


def _hits(path: Path) -> pl.DataFrame:
    """Return hits with a row per user and a column per method, of scored rankings: the same depth for all methods."""
    scores = tables.read(path, SCORES).filter(pl.col("kind") == "scored")
    return scores.pivot("method", index=["record_id", "user_id", "target", "core"], values=HIT)


def paired(first: pl.Series, second: pl.Series) -> float:
    """Return McNemar's exact two-sided p of two columns of hits."""
    wins, losses = int((first > second).sum()), int((first < second).sum())
    return float(binomtest(wins, wins + losses).pvalue) if wins + losses else 1.0


def _better(hits: pl.DataFrame, which: str, target: str) -> Claim:
    users = hits.filter(pl.col("target") == target)
    tuned, base = _mean(users, TUNED), _mean(users, BASE)
    text = f"{TUNED} {tuned:.3f} above {BASE} {base:.3f} (set {which}, {target}, n = {users.height}), p"
    return at_most(text, paired(users[TUNED], users[BASE]) if tuned > base else 1.0, 0.01, "", COMMAND, peer=BASE)


def _closed(hits: pl.DataFrame, chance: float) -> Iterable[Claim]:
    core_1 = hits.filter(pl.col("core") == "1")
    text = f"{TUNED}, 1-core users of set B (n = {core_1.height}): share closed from random to the text-only oracle"
    yield at_least(text, _share(core_1, TUNED, chance), 0.3, "", COMMAND, peer="text-only oracle")


def _share(hits: pl.DataFrame, method: str, chance: float) -> float:
    return (_mean(hits, method) - chance) / (_mean(hits, ORACLE) - chance)


def _mean(hits: pl.DataFrame, method: str) -> float:
    return float(hits[method].to_numpy().mean())


def _base_needs_history(hits: pl.DataFrame, which: str, chance: float) -> Iterable[Claim]:
    """Claim that the base, which knows no mapping, needs target history."""
    for has_history, words in ((True, "some"), (False, "no")):
        group = hits.filter((pl.col("core") != "1") == has_history)
        right, n = int(group[BASE].sum()), group.height
        side = "greater" if has_history else "two-sided"
        p = float(binomtest(right, n, chance, alternative=side).pvalue)
        text = f"{BASE} with {words} target history: {right / n:.3f} (set {which}, n = {n}), random {chance:.3f}, p"
        yield at_most(text, p, 0.05, "", COMMAND) if has_history else at_least(text, p, 0.05, "", COMMAND)


def _larger_gain_with_short_history(hits: pl.DataFrame, which: str) -> Claim:
    """Claim that fine-tuning gains more where only the mapping can help."""
    short, long = (hits.filter(pl.col("core").is_in(["1", "2"]) == is_short) for is_short in (True, False))
    gains = [_mean(group, TUNED) - _mean(group, BASE) for group in (short, long)]
    text = f"gain over {BASE}, set {which}: {gains[0]:.3f} for 1- and 2-core users, {gains[1]:.3f} for others"
    return at_least(text, gains[0] / gains[1], 1, "x", COMMAND)


def _set_b_is_easier(hits: dict[str, pl.DataFrame]) -> Claim:
    easy, hard = (_mean(hits[which], TUNED) for which in ("B", "A"))
    return at_least(f"{TUNED}: set B {easy:.3f} against set A {hard:.3f}", easy / max(hard, 1e-9), 1, "x", COMMAND)


def _below_the_oracle(hits: pl.DataFrame, which: str) -> Claim:
    best, oracle = _mean(hits, TUNED), _mean(hits, ORACLE)
    return at_most(f"{TUNED} of the text-only oracle's Hit@1, set {which}", best / oracle, 1, "", COMMAND)


def _themes(which: str) -> Claim:
    """Claim that thoughts name the user's themes in the target's words more often than chance would."""
    world = params.load(World, "world")
    named, favourites = named_themes(TUNED, which)
    p = float(binomtest(favourites, named, world.favourites / world.themes, alternative="greater").pvalue)
    text = f"{favourites} of {named} themes named in the target's words are the user's (set {which}), p"
    return at_most(text, p, 0.01, "", COMMAND, peer=f"{world.favourites} of {world.themes} by chance")


def named_themes(method: str, which: str) -> tuple[int, int]:
    """Count the words in the target's line of all thoughts, and those that are favourites in the target's words."""
    answers = tables.read(paths.of_set(paths.answers(method), which), ANSWERS).select("record_id", "text")
    records = tables.read(paths.set_records(which, "test"), RECORDS)
    favourites_of_users = tables.read(paths.WORLD / "user_truth.parquet", USER_TRUTH)
    words = files.read_json(paths.WORLD / "themes.json")
    named = favourite = 0
    joined = records.join(answers, on="record_id").join(favourites_of_users, on="user_id")
    for target, text, favourites in joined.select("target", pl.col("text").fill_null(""), "favourites").iter_rows():
        line = target_words(text, target)
        named += len(line)
        favourite += sum(word in {words[target][k] for k in favourites} for word in line)
    return named, favourite


def target_words(text: str, target: str) -> list[str]:
    """Return the different words of the thought's line about the target."""
    line = re.search(rf"^{re.escape(KITREC.labels[target])} themes: ([^\n]*?)(?: ->|$)", text, re.MULTILINE)
    return list(dict.fromkeys(line.group(1).split(", "))) if line else []


def _by_core(hits: pl.DataFrame, chance: float) -> list[dict[str, Any]]:
    rows = []
    for core in CORES:
        group = hits.filter(pl.col("core") == core)
        means = {method: round(_mean(group, method), 3) for method in (BASE, TUNED, ORACLE)}
        p = f"{paired(group[TUNED], group[BASE]):.2g}"
        closed = f"{_share(group, TUNED, chance):.0%}"
        rows.append({"core": core, "n": group.height, "random": chance, **means, "paired p": p, "closed": closed})
    return rows


if __name__ == "__main__":
    start(main, __doc__)
