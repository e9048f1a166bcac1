"""The generated parts of the documents: blocks between markers in pages, and the pages of docs/reference.

python -m stages.lib.pages            refresh them after a change of dvc.yaml, params, the command line or the metrics
python -m stages.lib.pages --check    exit with 1 if one is out of date"""

import sys
from collections.abc import Callable
from pathlib import Path

from kitrec.core import files
from stages.lib import graph, headline_text, reference
from stages.lib.dvcfile import ROOT

Block = Callable[[Path], str]
REFRESH = "python -m stages.lib.pages"

BLOCKS: dict[str, dict[str, Block]] = {
    "README.md": {
        "graph": lambda _: _fenced(graph.overview()),
        "sample": headline_text.sample,
        "headline": headline_text.headline,
        "sentences": headline_text.sentences,
        "real": headline_text.real_people,
    },
    "docs/graph.md": {"graph": lambda _: _fenced(graph.mermaid())},
    "docs/results.md": {
        "sample": headline_text.sample,
        "scored": headline_text.headline,
        "written": lambda root: headline_text.headline(root, kind="written"),
        "by_core": headline_text.by_core,
        "other_set": lambda root: headline_text.headline(root, other_set=True),
        "comparisons": headline_text.comparisons,
        "trainings": headline_text.trainings,
    },
}
WHOLE: dict[str, Callable[[], str]] = {
    "docs/reference/params.md": reference.params_page,
    "docs/reference/cli.md": reference.cli_page,
    "docs/reference/tables.md": reference.tables_page,
    "docs/reference/python.md": reference.python_page,
}


def with_block(text: str, name: str, content: str) -> str:
    """Return a page with the content between the markers of a block."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    if text.count(begin) != 1 or text.count(end) != 1:
        raise ValueError(f"the page needs {begin} and {end} once each")
    before, _, rest = text.partition(begin)
    return f"{before}{begin}\n{content}\n{end}{rest.partition(end)[2]}"


def current_pages(root: Path = ROOT) -> dict[str, str]:
    """Return path -> text of every page with a generated part, as it should be."""
    pages = {}
    for name, blocks in BLOCKS.items():
        text = (root / name).read_text(encoding="utf-8")
        for block, content in blocks.items():
            text = with_block(text, block, content(root))
        pages[name] = text
    return pages | {name: page() for name, page in WHOLE.items()}


def outdated(root: Path = ROOT) -> list[str]:
    """Return the pages that differ from what they should be."""
    return [
        name
        for name, text in current_pages(root).items()
        if not (root / name).is_file() or (root / name).read_text(encoding="utf-8") != text
    ]


def write_pages(root: Path = ROOT) -> list[str]:
    """Refresh the pages and return those that changed."""
    pages, changed = current_pages(root), outdated(root)
    for name in changed:
        with files.atomic(root / name) as draft:
            draft.write_text(pages[name], encoding="utf-8")
    return changed


def _fenced(drawing: str) -> str:
    return f"```mermaid\n{drawing}\n```"


def main(arguments: list[str]) -> None:
    """Refresh the pages, or check them."""
    if arguments == ["--check"]:
        if names := outdated():
            sys.exit(f"error: {', '.join(names)} out of date: run `{REFRESH}` and commit them")
        return
    changed = write_pages()
    print(f"refreshed {', '.join(changed)}" if changed else "all generated pages are up to date")


if __name__ == "__main__":
    main(sys.argv[1:])
