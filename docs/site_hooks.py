"""Hooks of mkdocs.yml: graphs in Mermaid, which GitHub draws, become SVG, so that the site loads no script for them."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

FENCE = re.compile(r"^```mermaid\n(.*?)^```$", re.DOTALL | re.MULTILINE)
WIDEST = 1150  # pixels: smaller, and its letters cannot be read
DOT = Path(sys.executable).with_name("graphviz-pure")
STYLE = """rankdir=LR; bgcolor=transparent; fontname=Helvetica; fontsize=12; nodesep=0.15;
node [shape=box, style=rounded, fontname=Helvetica, fontsize=13, margin="0.2,0.05"]; edge [arrowsize=0.7];"""


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace every graph of a page by a drawing."""
    return FENCE.sub(lambda match: f'<div style="overflow-x: auto">\n{draw(match[1])}\n</div>', markdown)


def draw(mermaid: str) -> str:
    """Return the SVG of a graph, in the colour of the text around it."""
    command = [str(DOT), "-Tsvg"]
    done = subprocess.run(command, input=as_dot(mermaid), capture_output=True, text=True, check=True)
    svg = re.sub(r"<!--.*?-->\s*", "", done.stdout[done.stdout.index("<svg") :], flags=re.DOTALL)
    width = min(WIDEST, int(re.search(r'width="(\d+)pt"', svg)[1]))
    svg = svg.replace("<svg", f'<svg style="max-width: none; width: {width}px; height: auto"', 1)  # it scrolls
    return re.sub(r"\n\s*", "", svg.replace('"black"', '"currentColor"').replace("<text", '<text fill="currentColor"'))


def as_dot(mermaid: str) -> str:
    """Return a flowchart as stages/lib/graph.py writes it in Graphviz's language."""
    lines = []
    for line in mermaid.splitlines():
        if match := re.fullmatch(r'  subgraph (\w+)\["(.*)"\]', line):
            lines.append(f'subgraph cluster_{match[1]} {{ margin=14; label="{match[2]}";')
        elif line.strip() == "end":
            lines.append("}")
        elif match := re.fullmatch(r'  (\w+)\["(.*)"\](:::optional)?', line):
            style = ', style="rounded,dashed"' if match[3] else ""
            lines.append(f'{match[1]} [label="{match[2]}"{style}];')
        elif match := re.fullmatch(r"\s*(\w+(?: --> \w+)?)", line):
            lines.append(match[1].replace("-->", "->") + ";")
    return f"digraph {{ {STYLE}\n" + "\n".join(lines) + "\n}"
