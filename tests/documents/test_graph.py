"""The picture of the pipeline in README.md is that of today's dvc.yaml, and pipeline.md describes every stage."""

import re

from stages.lib.dvcfile import stages
from stages.lib.graph import edges, readme_with_graph, shortest
from tests.conftest import ROOT


def test_readme_shows_the_graph_of_dvc_yaml():
    text = (ROOT / "README.md").read_text()
    assert text == readme_with_graph(text), "run `python -m stages.lib.graph --write`"


def test_edges_follow_what_stages_read_and_write():
    pairs = edges()
    assert {("prepare", "train_dualft"), ("infer_vllm", "parse_answers"), ("evaluate", "analyse")} <= pairs
    assert not any(consumer == "prepare" for producer, consumer in pairs if producer != "check_params")


def test_an_edge_that_a_longer_road_implies_is_left_out():
    assert shortest({("a", "b"), ("b", "c"), ("a", "c"), ("a", "d")}) == [("a", "b"), ("a", "d"), ("b", "c")]


def test_the_pipeline_page_describes_every_stage():
    text = (ROOT / "docs/specification/pipeline.md").read_text()
    assert set(stages()) <= set(re.findall(r"`(\w+)`", text))
