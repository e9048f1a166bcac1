"""An encoder of titles that cannot be had is refused at once."""

import time

import pytest
from huggingface_hub import constants

from kitrec.cli import encoders
from kitrec.core.errors import InputError
from tests.hub_server import Hub, serve

HUB_NAME = "sentence-transformers/all-MiniLM-L6-v2"


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)


@pytest.mark.usefixtures("empty_cache")
def test_without_a_network_the_refusal_takes_seconds_and_names_the_ways_out(monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nobody listens there
    start = time.monotonic()
    with pytest.raises(InputError, match=r"127\.0\.0\.1:9 does not answer: .*minilm-l6-v2.*tfidf"):
        encoders.local_or_reachable(HUB_NAME)
    assert time.monotonic() - start < 10


@pytest.mark.usefixtures("empty_cache")
def test_offline_mode_asks_nobody(monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="HF_HUB_OFFLINE is set"):
        encoders.local_or_reachable(HUB_NAME)


@pytest.mark.usefixtures("empty_cache")
def test_folders_are_taken_as_they_are_and_the_packaged_encoder_by_its_hub_name(tmp_path):
    (tmp_path / "base/minilm-l6-v2").mkdir(parents=True)
    assert encoders.local_or_reachable("base/minilm-l6-v2") == "base/minilm-l6-v2"
    assert encoders.local_or_reachable(HUB_NAME) == "base/minilm-l6-v2"
    with pytest.raises(InputError, match=r"no folder \./nothing"):
        encoders.local_or_reachable("./nothing")


@pytest.mark.usefixtures("empty_cache")
def test_a_hub_that_answers_is_left_to_the_library(monkeypatch):
    hub = Hub()
    server = serve(hub)
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    assert encoders.local_or_reachable("someone/encoder") == "someone/encoder"
    server.shutdown()
