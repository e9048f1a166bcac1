"""The graph of dvc.yaml as a picture in README.md: stages by section, an arrow where one reads what another writes.

python -m stages.lib.graph            print it (Mermaid)
python -m stages.lib.graph --write    put it between the markers in README.md"""

import re
import sys
from fnmatch import fnmatchcase
from itertools import zip_longest
from pathlib import Path
from typing import Any

from stages.lib.dvcfile import ROOT, sections, stages

README = ROOT / "README.md"
BEGIN, END = "<!-- graph:begin -->", "<!-- graph:end -->"
_ITEM = re.compile(r"\$\{[^}]*\}")


def mermaid() -> str:
    """Return the graph, one subgraph per section of dvc.yaml."""
    lines = ["flowchart LR"]
    for number, (title, names) in enumerate(sections().items()):
        lines.append(f'  subgraph s{number}["{title.partition(":")[0].partition(" ->")[0]}"]')
        lines += [f"    {name}" for name in names]
        lines.append("  end")
    lines += [f"  {producer} --> {consumer}" for producer, consumer in shortest(edges())]
    return "\n".join(lines)


def edges() -> set[tuple[str, str]]:
    """Return (producer, consumer) of all stages, instances of a matrix taken together."""
    bodies = stages()
    written = {name: [_path(out) for out in _outs(body)] for name, body in bodies.items()}
    return {
        (producer, consumer)
        for consumer, body in bodies.items()
        for deps in _by_item(body.get("deps", []))
        for producer in _producers(deps, written)
        if producer != consumer
    }


def _by_item(deps: list[Any]) -> list[list[str]]:
    """Group dependencies by the item of a list that they belong to; those without one stand alone."""
    groups: dict[str, list[str]] = {}
    for dep in deps:
        item = _ITEM.search(dep if isinstance(dep, str) else next(iter(dep)))
        groups.setdefault(item[0] if item else _path(dep), []).append(_path(dep))
    return list(groups.values())


def _producers(deps: list[str], written: dict[str, list[str]]) -> list[str]:
    """Return the stages that write these dependencies; of several together, those that write all, if there are any."""
    together = [name for name, outs in written.items() if len(deps) > 1 and set(deps) <= set(outs)]
    return together or [name for name, outs in written.items() if any(_overlap(out, d) for out in outs for d in deps)]


def shortest(pairs: set[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the pairs that no longer road says already, sorted."""

    def reach(start: str) -> set[str]:
        after = {consumer for producer, consumer in pairs if producer == start}
        return after.union(*(reach(name) for name in after))

    return sorted(
        (producer, consumer)
        for producer, consumer in pairs
        if not any(consumer in reach(other) for start, other in pairs if start == producer and other != consumer)
    )


def _outs(body: dict[str, Any]) -> list[Any]:
    return [*body.get("outs", []), *body.get("metrics", []), *body.get("plots", [])]


def _path(entry: Any) -> str:
    """Return a path with its template parts as wildcards."""
    return _ITEM.sub("*", entry if isinstance(entry, str) else next(iter(entry)))


def _overlap(out: str, dep: str) -> bool:
    """Return whether an out may be a dependency, lie in it or contain it."""
    pairs = zip_longest(out.split("/"), dep.split("/"))
    return all(not (a and b) or fnmatchcase(a, b) or ("*" not in b and fnmatchcase(b, a)) for a, b in pairs)


def readme_with_graph(text: str) -> str:
    """Return README's text with today's graph between the markers."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n```mermaid\n{mermaid()}\n```\n{END}{after}"


def main(arguments: list[str]) -> None:
    """Print the graph, or write it into README.md."""
    if arguments == ["--write"]:
        README.write_text(readme_with_graph(Path(README).read_text(encoding="utf-8")), encoding="utf-8")
    else:
        print(mermaid())


if __name__ == "__main__":
    main(sys.argv[1:])
