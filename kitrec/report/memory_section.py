"""What the base knows of the test data by heart, and metrics by known and unknown items, from metrics/memory."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from kitrec.core import files
from kitrec.report.page import Section

FOLDER = Path("metrics/memory")
METRICS = {"hit@1": "Hit@1", "ndcg@10": "NDCG@10"}
GROUPS = ("known", "unknown")
TITLE = "By held-out items whose titles the base completes from half of them (known)"
Numbers = Mapping[str, Any]


def read_memory(bases: Collection[str], folder: Path = FOLDER) -> list[dict[str, Any]]:
    """Return the probes of these bases that have run."""
    return [files.read_json(path) for name in bases if (path := folder / f"{name}.json").is_file()]


def memory_sections(content: Numbers, which: str) -> list[Section]:
    """Return the metrics of a test set by known and unknown items, and the probes of the base behind them."""
    split = content[which]
    counts = ", ".join(f"{part['n']} {group.replace('_', ' ')}" for group, part in split.items())
    few = [group for group in GROUPS if split[group]["few"]]
    text = (
        "Means with 95 % BCa intervals over the records whose held-out item's title the base completes from half of it "
        f"(known) and over those where it does not: {counts}, where a title has no other half. Known items are popular "
        "ones: what methods that read no title gain on them is no memory of the base."
    )
    text += f" Few users: {', '.join(few)}." if few else ""
    columns = ["ranking", *(f"{label}, {group}" for label in METRICS.values() for group in GROUPS)]
    rows = [
        [f"{method} ({kind})", *(_interval(figures, metric) for metric in METRICS for figures in groups)]
        for method, kind, groups in _rankings(split)
    ]
    return [Section("Known and unknown items", text, columns, rows), _probes(content["probes"])]


def memory_table(content: Numbers, which: str) -> tuple[list[str], list[list[str]]]:
    """Return Hit@1 and NDCG@10 by known and unknown items: columns and rows."""
    columns = ["method", "ranking", *(f"{label}, {group}" for label in METRICS.values() for group in GROUPS)]
    rows = [
        [method, kind, *("–" if f is None else f"{f[metric]:.3f}" for metric in METRICS for f in groups)]
        for method, kind, groups in _rankings(content[which])
    ]
    return columns, rows


def _probes(probes: Numbers) -> Section:
    """Return what the base writes unaided, beside shuffled truths."""
    rows = [
        [
            name,
            str(row["n"]),
            *(
                ["–"] * 4
                if row["share"] is None
                else [
                    f"{row['share']:.3f}",
                    f"{row['low']:.3f} … {row['high']:.3f}",
                    f"{row['shuffled']:.3f}",
                    f"{row['p']:.2g}",
                ]
            ),
        ]
        for name, row in probes.items()
    ]
    text = (
        "The share of titles that the base completes from half of them, of histories that it continues with the newest "
        "item, and of held-out items that it names without candidates; shuffled: the same lines against other truths; "
        "p: exact sign test between the two. A share above its control is knowledge of these titles, users or choices."
    )
    return Section("Memory of the base", text, ["probe", "n", "share", "95 % CI", "shuffled", "p"], rows)


def _rankings(split: Numbers) -> Iterator[tuple[str, str, list[Numbers | None]]]:
    """Yield method, kind and the figures of each group, None where it has no records."""
    methods = {name: kinds for group in GROUPS for name, kinds in split[group]["methods"].items()}
    for method, kinds in methods.items():
        for kind in kinds:
            yield method, kind, [split[group]["methods"].get(method, {}).get(kind) for group in GROUPS]


def _interval(figures: Numbers | None, metric: str) -> str:
    if figures is None:
        return "–"
    return f"{figures[metric]:.3f} ({figures[f'{metric}_low']:.3f}–{figures[f'{metric}_high']:.3f})"
