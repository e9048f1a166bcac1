"""The graph of dvc.yaml as Mermaid: an arrow where one stage reads what another writes.

The whole graph stands in docs/graph.md, its sections in README.md; `python -m stages.lib.pages` puts them there.

python -m stages.lib.graph            print the whole graph
python -m stages.lib.graph --write    the same as `python -m stages.lib.pages`"""

import re
import sys
from fnmatch import fnmatchcase
from itertools import zip_longest
from typing import Any

from stages.lib.dvcfile import sections, stages

OFF = " (off by default)"
_ITEM = re.compile(r"\$\{[^}]*\}")


def mermaid() -> str:
    """Return the graph, one subgraph per section of dvc.yaml."""
    lines = ["flowchart LR"]
    for number, (title, names) in enumerate(sections().items()):
        lines.append(f'  subgraph s{number}["{_heading(title)}"]')
        lines += [f"    {name}" for name in names]
        lines.append("  end")
    lines += [f"  {producer} --> {consumer}" for producer, consumer in shortest(edges())]
    return "\n".join(lines)


def overview() -> str:
    """Return the graph of the sections; dashed are those that are off by default."""
    section_of = {name: number for number, names in enumerate(sections().values()) for name in names}
    pairs = {(str(section_of[producer]), str(section_of[consumer])) for producer, consumer in edges()}
    lines = ["flowchart LR"]
    for number, title in enumerate(sections()):
        optional = ":::optional" if OFF in title else ""
        lines.append(f'  s{number}["{_heading(title).replace(OFF, "")}"]{optional}')
    joined = shortest({(first, second) for first, second in pairs if first != second})
    lines += [f"  s{first} --> s{second}" for first, second in sorted(joined, key=lambda pair: (*map(int, pair),))]
    return "\n".join([*lines, "  classDef optional stroke-dasharray: 4"])


def _heading(title: str) -> str:
    """Return what a section's heading says before its colon and its arrow."""
    return title.partition(":")[0].partition(" ->")[0]


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


def main(arguments: list[str]) -> None:
    """Print the graph, or write all generated parts of the documents."""
    if arguments == ["--write"]:
        from stages.lib.pages import write_pages  # it draws this graph

        write_pages()
    else:
        print(mermaid())


if __name__ == "__main__":
    main(sys.argv[1:])
