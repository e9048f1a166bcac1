"""The pictures of the pipeline are those of today's dvc.yaml, and pipeline.md describes every stage."""

import re

from stages.lib.dvcfile import sections, stages
from stages.lib.graph import edges, mermaid, overview, shortest
from tests.conftest import ROOT


def test_pages_show_the_graph_of_dvc_yaml():
    """That they are current as a whole: test_readme_claims.py."""
    assert mermaid() in (ROOT / "docs/graph.md").read_text() and overview() in (ROOT / "README.md").read_text()


def test_the_overview_has_a_box_for_every_section_and_an_arrow_where_stages_of_two_are_joined():
    drawn = overview()
    assert len(re.findall(r"^  s\d+\[", drawn, re.MULTILINE)) == len(sections())
    assert 's0["Data"]\n' in drawn and 'ThinkRec"]:::optional' in drawn and "off by default" not in drawn
    number = {name: k for k, names in enumerate(sections().values()) for name in names}
    assert f"s{number['prepare']} --> s{number['pin_base']}" in drawn
    assert f"s{number['prepare']} --> s{number['evaluate']}" not in drawn  # longer roads imply it


def test_edges_follow_what_stages_read_and_write():
    pairs = edges()
    assert {("prepare", "train_dualft"), ("infer_vllm", "parse_answers"), ("evaluate", "analyse")} <= pairs
    assert not any(consumer == "prepare" for producer, consumer in pairs if producer != "check_params")


def test_an_edge_that_a_longer_road_implies_is_left_out():
    assert shortest({("a", "b"), ("b", "c"), ("a", "c"), ("a", "d")}) == [("a", "b"), ("a", "d"), ("b", "c")]


def test_the_pipeline_page_describes_every_stage():
    text = (ROOT / "docs/specification/pipeline.md").read_text()
    assert set(stages()) <= set(re.findall(r"`(\w+)`", text))
