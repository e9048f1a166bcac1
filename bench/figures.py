"""PNG figures of the docs: vega-lite specifications drawn by vl-convert without a network."""

from pathlib import Path
from typing import Any

import vl_convert

from kitrec.core import files

FOLDER = Path("docs/figures")


def by_candidates(rows: list[dict[str, Any]]) -> None:
    """Draw Hit@1 by number of candidates: the base's answers, the text-only oracle, chance."""
    long = [
        {"candidates": row["candidates"], "method": method, "Hit@1": row[key]}
        for row in rows
        for method, key in (
            (f"base, {row['answers']}", "Hit@1"),
            ("text-only oracle", "text-only oracle"),
            ("random", "random"),
        )
    ]
    encoding = {
        "x": {
            "field": "candidates",
            "type": "quantitative",
            "scale": {"type": "log"},
            "axis": {"values": [5, 10, 20, 50, 100]},
        },
        "y": {"field": "Hit@1", "type": "quantitative", "scale": {"domain": [0, 1]}},
        "color": {"field": "method", "title": None},
    }
    _draw(
        "reading_by_candidates",
        {"data": {"values": long}, "mark": {"type": "line", "point": True}, "encoding": encoding},
    )


def attention(shares: list[list[float]], correct: list[int]) -> None:
    """Draw attention by user (row) and candidate line (column), darker for more; the right line is circled."""
    squares = [
        {"user": user, "line": line + 1, "attention": share, "correct": line == correct[user]}
        for user, row in enumerate(shares)
        for line, share in enumerate(row)
    ]
    position = {
        "x": {"field": "line", "type": "ordinal", "title": "candidate line", "axis": {"labelAngle": 0}},
        "y": {"field": "user", "type": "ordinal", "title": "user", "axis": {"labels": False, "ticks": False}},
    }
    shade = {"color": {"field": "attention", "type": "quantitative", "scale": {"scheme": "blues", "domain": [0, 1]}}}
    ring = {"type": "point", "shape": "circle", "color": "firebrick", "size": 90}
    layers = [
        {"mark": "rect", "encoding": {**position, **shade}},
        {"mark": ring, "encoding": position, "transform": [{"filter": "datum.correct"}]},
    ]
    _draw("reading_attention", {"data": {"values": squares}, "layer": layers})


def by_core(name: str, rows: list[dict[str, Any]]) -> None:
    """Draw NDCG@10 by the number of a user's ratings of the domain, one panel per domain; `all`: nothing is cut."""
    long = [
        {"setting": row["setting"], "domain": row["domain"], "ratings": core, "NDCG@10": row[key]}
        for row in rows
        for core, key in (*((count, f"core {count} ndcg@10") for count in "1234"), ("all", "full ndcg@10"))
    ]
    encoding = {
        "x": {"field": "ratings", "type": "ordinal", "sort": [*"1234", "all"], "axis": {"labelAngle": 0}},
        "y": {"field": "NDCG@10", "type": "quantitative"},
        "color": {"field": "setting", "title": None, "scale": {"scheme": "tableau20"}},
        "column": {"field": "domain", "title": None},
    }
    _draw(name, {"data": {"values": long}, "mark": {"type": "line", "point": True}, "encoding": encoding})


def by_films_shown(name: str, tables: dict[str, list[dict[str, Any]]], shown: list[str], methods: list[str]) -> None:
    """Draw NDCG@10 by how many films are shown, one panel per candidate set; rows have `method` and a value each."""
    long = [
        {"candidates": title, "target items shown": count, "method": row["method"], "NDCG@10": row[count]}
        for title, rows in tables.items()
        for row in rows
        if row["method"] in methods
        for count in shown
    ]
    encoding = {
        "x": {"field": "target items shown", "type": "ordinal", "sort": shown, "axis": {"labelAngle": 0}},
        "y": {"field": "NDCG@10", "type": "quantitative", "scale": {"zero": False}},
        "color": {"field": "method", "title": None, "sort": methods, "scale": {"scheme": "tableau10"}},
        "column": {"field": "candidates", "title": None},
    }
    _draw(name, {"data": {"values": long}, "mark": {"type": "line", "point": True}, "encoding": encoding, "width": 330})


def by_users(name: str, rows: list[dict[str, Any]]) -> None:
    """Draw NDCG@10 by the number of training users, one panel per candidate set and group of test users."""
    long = [
        {
            "panel": f"set {row['set']}, {group}",
            "training users": row["users"],
            "method": row["method"],
            "NDCG@10": value,
        }
        for row in rows
        for group, value in (("all users", row["ndcg@10, all"]), ("none shown", row["ndcg@10, none"]))
    ]
    measured = sorted({row["users"] for row in rows})
    users = {"scale": {"type": "log", "nice": False, "padding": 12}, "axis": {"values": measured, "grid": False}}
    encoding = {
        "x": {"field": "training users", "type": "quantitative", **users},
        "y": {"field": "NDCG@10", "type": "quantitative", "scale": {"zero": False}},
        "color": {"field": "method", "title": None, "scale": {"scheme": "tableau10"}},
    }
    chart = {"mark": {"type": "line", "point": True}, "encoding": encoding, "width": 300, "height": 220}
    facet = {"field": "panel", "type": "nominal", "title": None}
    _draw(name, {"data": {"values": long}, "facet": facet, "columns": 2, "spec": chart})


def _draw(name: str, chart: dict[str, Any]) -> None:
    spec = {"$schema": "https://vega.github.io/schema/vega-lite/v5.json", **chart}
    if "spec" not in spec:
        spec = {"width": 520, "height": 320, **spec}
    FOLDER.mkdir(parents=True, exist_ok=True)
    with files.atomic(FOLDER / f"{name}.png") as draft:
        draft.write_bytes(vl_convert.vegalite_to_png(spec, scale=1.5))
