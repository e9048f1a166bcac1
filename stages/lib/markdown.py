"""Markdown of the generated pages."""


def row(*cells: str) -> str:
    """Return a line of a table; bars and line ends inside cells are kept from breaking it."""
    return f"| {' | '.join(' '.join(cell.split()).replace('|', chr(92) + '|') for cell in cells)} |"


def table(columns: list[str], rows: list[list[str]]) -> str:
    """Return a table."""
    return "\n".join(row(*line) for line in [columns, ["---"] * len(columns), *rows])
