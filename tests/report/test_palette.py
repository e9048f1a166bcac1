"""Colours of methods: fixed, of enough contrast on light and dark, distinct under colour blindness."""

from itertools import combinations

import numpy as np
import pytest

from kitrec.report.palette import COLOURS, GREYS, Method, colour_scale, methods

GROUNDS = ("#ffffff", "#16181d")
# Machado, Oliveira & Fernandes 2009, IEEE TVCG 15(6), severity 1.0: linear RGB as seen by a dichromat.
DICHROMATS = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)


def linear(colour: str) -> np.ndarray:
    values = np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIE 1976 L*a*b* of linear RGB under D65."""
    ratio = TO_XYZ @ np.clip(rgb, 0, 1) / np.array([0.95047, 1.0, 1.08883])
    x, y, z = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def contrast(first: str, second: str) -> float:
    """WCAG 2 contrast ratio."""
    low, high = sorted(0.05 + float(np.dot([0.2126, 0.7152, 0.0722], linear(colour))) for colour in (first, second))
    return high / low


@pytest.mark.parametrize("colour", [*COLOURS, *GREYS["baseline"], *GREYS["bound"]])
def test_marks_have_the_contrast_of_graphics_on_both_grounds(colour):
    assert all(contrast(colour, ground) >= 3 for ground in GROUNDS)


@pytest.mark.parametrize("sight", ["full", *DICHROMATS])
def test_the_first_four_learned_methods_stay_apart(sight):
    seen = [lab(np.array(DICHROMATS.get(sight, np.eye(3))) @ linear(colour)) for colour in COLOURS[:4]]
    assert min(np.linalg.norm(a - b) for a, b in combinations(seen, 2)) > 15  # 2.3 is just noticeable


def test_a_method_keeps_its_colour_whatever_else_is_shown():
    names = ["oracle", "kitrec_full", "sasrec", "popularity"]
    roles = {"oracle": "bound", "kitrec_full": "learned", "sasrec": "learned", "popularity": "baseline"}
    drawn = methods(names, roles)
    assert [method.name for method in drawn] == ["kitrec_full", "sasrec", "popularity", "oracle"]
    assert colour_scale(drawn)["range"][:2] == list(COLOURS[:2])
    assert {method.colour for method in drawn[2:]} & set(COLOURS) == set()


def test_thirty_learned_methods_differ_in_colour_or_shape():
    drawn: list[Method] = methods([f"m{k}" for k in range(30)], {f"m{k}": "learned" for k in range(30)})
    assert len({(method.colour, method.shape) for method in drawn}) == 30
