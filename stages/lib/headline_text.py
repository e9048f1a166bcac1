"""The committed run as Markdown: tables and sentences of README.md and docs/results.md, written from metrics/*.json.

A sentence says `ahead` or `behind` only where the p of a declared comparison, corrected by Holm, is below LEVEL."""

import re
from pathlib import Path
from typing import Any

from kitrec.core import files, params
from stages.lib.markdown import table

METRICS = Path("metrics")
NAMES = {"hit@1": "Hit@1", "hit@5": "Hit@5", "hit@10": "Hit@10", "mrr": "MRR", "ndcg@5": "NDCG@5", "ndcg@10": "NDCG@10"}
HEADLINE = ("hit@1", "hit@5", "hit@10", "mrr", "ndcg@10")
REFERENCES = ("oracle", "oracle_text", "popularity", "random")  # not learned: never marked as the best
README_PAIRS = ("kitrec_full against base_direct", "kitrec_full against sasrec")
README_METRICS = ("hit@1", "ndcg@10")
LEVEL = 0.05
REAL = Path("bench/results/quality_real.json")
REAL_CLAIMS = (  # of docs/benchmarks/quality_real.md
    "set B, all shown: sasrec_embedding ahead of sasrec in ndcg@10, p",
    "set A, all shown: sasrec_embedding ahead of sasrec in ndcg@10, p",
    "set A, all shown: random_walk_embedding ahead of random_walk in ndcg@10, p",
    "set A, all shown: embedding ahead of popularity in ndcg@10, p",
    "set A, none shown: embedding ahead of popularity in hit@1, p",
)
_CLAIM = re.compile(r"(?P<where>.*): (?P<first>\w+) ahead of (?P<second>\w+) in (?P<metric>\S+), p")


def headline(root: Path, *, kind: str = "scored", other_set: bool = False) -> str:
    """Return the means of all rankings of a kind over the test records; the best learned value is bold."""
    means = _read(root, "evaluate_other_set" if other_set else "evaluate")
    rows = {method: kinds[kind] for method, kinds in means.items() if kind in kinds}
    best = {name: max((row[name] for m, row in rows.items() if m not in REFERENCES), default=2.0) for name in HEADLINE}
    lines = [
        [f"`{method}`", *(_cell(row[name], best[name], method) for name in HEADLINE)] for method, row in rows.items()
    ]
    return table(["method", *(NAMES[name] for name in HEADLINE)], lines)


def by_core(root: Path) -> str:
    """Return Hit@1 of the scored rankings by the user's number of target interactions."""
    strata = {method: kinds["scored"]["core"] for method, kinds in _read(root, "evaluate_strata").items()}
    cores = list(next(iter(strata.values())))
    counts = next(iter(strata.values()))
    lines = [[f"`{method}`", *(f"{rows[core]['hit@1']:.3f}" for core in cores)] for method, rows in strata.items()]
    return table(["method", *(f"{core} (n = {counts[core]['n']})" for core in cores)], lines)


def sample(root: Path) -> str:
    """Return the sentence about the records and users that tables and tests rest on."""
    records = next(iter(next(iter(_read(root, "evaluate").values())).values()))["n"]
    users = next(iter(next(iter(_read(root, "significance").values())).values()))["n"]
    tree = params.read(root / params.FILE)
    which, candidates = tree["data"]["candidate_set"], tree["candidates"]["count"]
    return f"Candidate set {which}: {records} test records of {users} users, {candidates} candidates each."


def sentences(root: Path) -> str:
    """Return what the declared comparisons of README.md say, a line each."""
    means, tested = _read(root, "evaluate"), _read(root, "significance")
    lines = []
    for pair in README_PAIRS:
        first, second = pair.split(" against ")
        for metric in README_METRICS:
            row = tested[metric][pair]
            values = " against ".join(f"{means[name]['scored'][metric]:.3f}" for name in (first, second))
            interval = f"{row['difference']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]"
            claim = f"`{first}` is {verdict(row)} `{second}` in {NAMES[metric]}"
            lines.append(f"* {claim}: {values}, {interval}, {p_text(row['p_holm'])}")
    return "\n".join(lines)


def real_people(root: Path) -> str:
    """Return what some claims of the benchmark on real people say; one that does not hold is not distinguishable."""
    claims = {claim["claim"]: claim for claim in files.read_json(root / REAL)["claims"]}
    lines = []
    for name in REAL_CLAIMS:
        claim, parts = claims[name], _CLAIM.search(name)
        if parts is None:
            raise ValueError(f"{name!r} does not read `WHERE: FIRST ahead of SECOND in METRIC, p`")
        says = "ahead of" if claim["holds"] else "not distinguishable from"
        pair = f"`{parts['first']}` is {says} `{parts['second']}` in {NAMES[parts['metric']]}"
        lines.append(f"* S{parts['where'][1:]}: {pair}: {claim['spread']}, {p_text(claim['value'])}")
    return "\n".join(lines)


def comparisons(root: Path) -> str:
    """Return all declared comparisons as a table."""
    lines = [
        [
            f"`{pair.replace(' against ', '` against `')}`", NAMES[metric], f"{row['difference']:+.3f}",
            f"[{row['low']:+.3f}, {row['high']:+.3f}]", p_text(row["p_holm"]), verdict(row).removesuffix(" of"),
        ]
        for metric, pairs in _read(root, "significance").items() for pair, row in pairs.items()
    ]  # fmt: skip
    return table(["pair", "metric", "difference", "95 % interval", "p by Holm", "verdict"], lines)


def trainings(root: Path) -> str:
    """Return what several trainings say of the declared comparisons, by users and trainings as sources of variance."""
    repeats = _read(root, "repeats")
    scored = {(row["method"], row["metric"]): row for row in repeats["means"] if row["kind"] == "scored"}
    lines = []
    for row in repeats["comparisons"]:
        sides = [scored[row[side], row["metric"]] for side in ("method", "other")]
        judged = {"p_holm": row["p_holm"], "difference": row["difference"]}
        lines.append(
            [
                f"`{row['method']}` against `{row['other']}`", NAMES[row["metric"]],
                *(f"{side['mean']:.3f} ({side['sd_trainings']:.3f})" for side in sides),
                f"{row['difference']:+.3f}", f"[{row['low_both']:+.3f}, {row['high_both']:+.3f}]",
                p_text(row["p_holm"]), verdict(judged).removesuffix(" of"),
            ]
        )  # fmt: skip
    columns = ["pair", "metric", "first (sd)", "second (sd)", "difference", "95 % interval", "p by Holm", "verdict"]
    seeds = ", ".join(map(str, repeats["seeds"]))
    return f"{len(repeats['seeds'])} trainings (seeds {seeds}), set {repeats['set']}:\n\n{table(columns, lines)}"


def verdict(row: dict[str, Any]) -> str:
    """Return what a comparison permits to say of its first method."""
    if row["p_holm"] >= LEVEL:
        return "not distinguishable from"
    return "ahead of" if row["difference"] > 0 else "behind"


def p_text(p: float) -> str:
    """Return a p-value as papers print it."""
    return "p < .001" if p < 0.001 else f"p = {p:.3f}".replace("0.", ".")


def _cell(value: float, best: float, method: str) -> str:
    text = f"{value:.3f}"
    return f"**{text}**" if value == best and method not in REFERENCES else text


def _read(root: Path, name: str) -> Any:
    return files.read_json(root / METRICS / f"{name}.json")
