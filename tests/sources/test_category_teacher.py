"""The teacher of real items, on an example by hand; its outputs are valid answers to the parser."""

import polars as pl

from kitrec.core.domains import KITREC
from kitrec.parsing.parser import parse
from kitrec.sources.category_teacher import CategoryTeacher

ITEMS = pl.DataFrame(
    {
        "item_id": ["B1", "B2", "M1", "M2"],
        "title": ["One", None, "Two", "Three"],
        "categories": [["Crime", "Noir"], ["Noir"], ["Drama"], ["Noir", "Heist"]],
    }
)
RECORD = {"target": "movies", "source_items": ["B1", "B2"], "target_items": ["M1"], "gt_item_id": "M2"}


def test_the_thought_names_frequent_categories_and_those_of_the_ground_truth():
    output = CategoryTeacher(ITEMS, KITREC).explain(RECORD)
    thought, answer = output.split("\n</think>\n\n")
    assert thought == (
        "<think>\nBooks themes: Noir, Crime\nMovies & TV themes: Drama, Noir, Heist -> (ID: M2) Three | Noir, Heist"
    )
    assert '"item_id": "M2"' in answer and '"confidence_score": 7' in answer and "shares Noir" in answer


def test_the_parser_accepts_the_output():
    written = parse(CategoryTeacher(ITEMS, KITREC).explain(RECORD), ["M1", "M2"])
    assert (written.item_ids, written.status, written.confidence) == (["M2"], "ok", 7)
