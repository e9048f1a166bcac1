"""Templates of the plots page: Vega draws each, with the parts, axes and marks that rows made by hand must give."""

import json
import re
from xml.etree import ElementTree

import pytest
import vl_convert

from tests.conftest import ROOT

TEMPLATES = {path.stem: path for path in sorted((ROOT / ".dvc/plots").glob("*.json"))}
METHODS = ("llm", "seq")


def mean(value: float) -> dict[str, str]:
    """A mean with its interval, as text: DVC does not convert what it reads from a CSV file."""
    return {"n": "60", "low": str(value - 0.1), "high": str(value + 0.1)}


def rows_of(template: str, rev: str) -> list[dict[str, str]]:
    """Made rows of a template's file at a revision, as DVC hands them to it."""
    rows = {
        "sets": [
            {"set": s, "method": m, "kind": "scored", "metric": metric, "mean": "0.4", **mean(0.4)}
            for s in ("A", "B")
            for m in METHODS
            for metric in ("hit@10", "ndcg@10")
        ],
        "hit_by_core": [
            {"method": m, "kind": kind, "target": target, "core": core, "hit@10": "0.4", **mean(0.4)}
            for target in ("movies", "music")
            for m in METHODS
            for kind in ("scored", "written")
            for core in ("1", "10+")
        ],
        "ranks": [
            {"method": m, "kind": kind, "n": "60", "rank": str(k), "hit_rate": rate, "missing": "0"}
            for m in METHODS
            for kind, rates in (("scored", ("0.5", "1.0")), ("written", ("0.3", "0.3")))
            for k, rate in enumerate(rates, 1)
        ],
        "calibration": [
            {"method": m, "confidence": level, "n": n, "accuracy": "0.25", "rating": "4"}
            for m in METHODS
            for level, n in (("5.0", "20"), ("9.0", "60"))
        ],
        "curves": [
            {"step": str(step), "loss": "0.5", "filename": f"plots/training/{run}/{split}.csv"}
            for run in ("dualft-movies-full", "dualft-music-full")
            for split in ("eval", "train")
            for step in (9, 18)
        ],
        "validations": [
            {"epoch": str(epoch), "series": series, "value": "0.2", "filename": "plots/idrec/seq.csv"}
            for series in ("gate: genre", "ndcg@10")
            for epoch in (1, 2)
        ],
        "routing": [
            {"nearest": "group 0", "answered_by": name, "users": "7", "filename": "plots/thinkrec/groups.csv"}
            for name in ("general", "group")
        ],
    }[template]
    return [{"rev": rev, "filename": f"plots/{template}.csv", "field": "y", **row} for row in rows]


def filled(template: str, *revisions: str) -> dict[str, object]:
    spec = json.loads(TEMPLATES[template].read_text(encoding="utf-8"))
    assert spec["data"]["values"] == "<DVC_METRIC_DATA>"
    return spec | {"data": {"values": [row for rev in revisions for row in rows_of(template, rev)]}}


def drawing(template: str, *revisions: str) -> tuple[set[str], int]:
    """The texts of a chart, and how many points, bars or lines it has."""
    root = ElementTree.fromstring(vl_convert.vegalite_to_svg(filled(template, *revisions)))
    described = [element.get("aria-roledescription") or "" for element in root.iter()]
    texts = {"".join(element.itertext()) for element in root.iter("{http://www.w3.org/2000/svg}text")}
    return texts, sum(role in ("point", "bar", "line mark") for role in described)


# Template -> its parts with one revision, its axes, and the points, bars and lines of one revision.
SHOWN = {
    "sets": ({"test set A", "test set B"}, {"NDCG@10", *METHODS}, 4),
    "hit_by_core": ({"movies", "music"}, {"target interactions", "Hit@10", "10+", *METHODS}, 12),  # 4 lines, 8 points
    "ranks": ({"scored rankings"}, {"rank", "hit rate", *METHODS}, 2),
    "calibration": ({"share of answers", "first item right"}, {"stated confidence", "share", "10"}, 8),
    "curves": ({"training users", "development users"}, {"step", "loss", "dualft-movies-full"}, 12),
    "validations": ({"NDCG@10", "gate: genre"}, {"epoch", "seq"}, 6),
    "routing": ({"stage groups"}, {"nearest group of users", "test users", "answered by", "group 0"}, 2),
}


def test_every_template_is_shown_here():
    assert set(TEMPLATES) == set(SHOWN)


@pytest.mark.parametrize("template", SHOWN)
def test_a_template_draws_its_parts_axes_and_marks(template):
    parts, axes, marks = SHOWN[template]
    texts, drawn = drawing(template, "workspace")
    assert parts | axes <= texts and drawn == marks
    assert not [text for text in texts if "null" in text or "NaN" in text or "undefined" in text]


@pytest.mark.parametrize("template", SHOWN)
def test_two_revisions_are_named_and_drawn_apart(template):
    parts, _, marks = SHOWN[template]
    texts, drawn = drawing(template, "HEAD", "set-b")
    assert drawn == 2 * marks
    by_part = {f"{part}, {rev}" for part in parts for rev in ("HEAD", "set-b")}
    assert by_part <= texts or {"HEAD", "set-b"} | parts <= texts  # a part, or a shape or dash, per revision


def test_titles_say_what_to_see_and_fit_in_dvcs_page():
    for path in TEMPLATES.values():
        title = json.loads(path.read_text(encoding="utf-8"))["title"]
        assert re.fullmatch(r"[A-Z][\w ]+: .{20,60}", title["text"]) and title["subtitle"], path


def test_the_bars_of_calibration_are_shares_of_the_answers_of_a_method():
    marks = vl_convert.vegalite_to_svg(filled("calibration", "workspace"))
    shares = re.findall(r"stated confidence: (\d+); share: ([\d.]+)", marks)
    assert sorted(set(shares)) == [("5", "0.25"), ("9", "0.25"), ("9", "0.75")]  # 20 and 60 of 80, and accuracies


def test_a_base_in_pre_training_is_no_fine_tuning():
    rows = [{"rev": "old", "filename": "lists/curve.csv", "tokens": "9", "loss": "1.0", "field": "loss"}]
    spec = filled("curves", "workspace")
    spec["data"]["values"] += rows  # type: ignore[index]
    assert "lists" not in vl_convert.vegalite_to_svg(spec)
