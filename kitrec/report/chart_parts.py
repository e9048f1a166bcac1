"""Parts that charts share: encodings of methods, places of names beside lines, ends of axes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from scipy.optimize import isotonic_regression

from kitrec.report.palette import Method, colour_scale, dash_scale, shape_scale

Chart = dict[str, Any]
WIDTH, HEIGHT, TALL = 460, 290, 350
LINE_OF_TEXT = 15  # pixels


def spread(values: Mapping[str, float], gap: float, top: float) -> dict[str, float]:
    """Return the values moved apart to `gap` within 0 and `top` by as little as possible (least squares, order kept);
    where there is no room for that, evenly."""
    ordered = sorted(values, key=lambda name: values[name])
    steps = np.arange(len(ordered)) * min(gap, top / max(len(ordered) - 1, 1))
    if not ordered:
        return {}
    free = isotonic_regression(np.array([values[name] for name in ordered]) - steps).x
    moved = np.clip(free, 0, top - steps[-1]) + steps
    return {name: round(float(place), 4) for name, place in zip(ordered, moved, strict=True)}


def name_places(ends: Mapping[str, float], top: float, height: int, bottom: float = 0.0) -> dict[str, float]:
    """Return the heights of names beside the ends of their lines, in the units of an axis from `bottom` to `top`."""
    length = top - bottom
    places = spread({name: end - bottom for name, end in ends.items()}, length * LINE_OF_TEXT / height, length)
    return {name: round(place + bottom, 4) for name, place in places.items()}


def axis_top(highest: float) -> float:
    """Return the end of an axis from zero: the next tenth."""
    return round(min(1.0, float(np.ceil(highest * 10 - 1e-9)) / 10), 1)


def axis_reach(rows: pl.DataFrame) -> float:
    """Return how far an axis about zero reaches to either side for intervals `low` to `high`: the next fiftieth."""
    largest = max(abs(bound) for name in ("low", "high") for bound in rows[name])
    return round(max(0.02, float(np.ceil(largest * 50 - 1e-9)) / 50), 2)


def colour(drawn: Sequence[Method]) -> dict[str, Any]:
    """Return the colour encoding of methods, without a legend."""
    return {"field": "method", "type": "nominal", "scale": colour_scale(drawn), "legend": None}


def shape(drawn: Sequence[Method]) -> dict[str, Any]:
    """Return the shape encoding of methods, without a legend."""
    return {"field": "method", "type": "nominal", "scale": shape_scale(drawn), "legend": None}


def dash(drawn: Sequence[Method]) -> dict[str, Any]:
    """Return the dash encoding of methods, without a legend."""
    return {"field": "method", "type": "nominal", "scale": dash_scale(drawn), "legend": None}


def legend(encoding: dict[str, Any], shown: pl.Series) -> dict[str, Any]:
    """Return an encoding with a legend of those methods that a chart shows, in the order of the run."""
    names = set(shown)
    listed = [name for name in encoding["scale"]["domain"] if name in names]
    return {**encoding, "legend": {"title": None, "values": listed}}


def tooltip(*fields: str, digits: int = 3) -> list[dict[str, Any]]:
    """Return the tooltip of a mean with its interval, after the fields named."""
    numbers = [{"field": name, "type": "quantitative", "format": f".{digits}f"} for name in ("mean", "low", "high")]
    return [*({"field": name} for name in fields), *numbers]
