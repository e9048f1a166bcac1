"""A base that lies on the hub, fetched by the real client from a hub in miniature; a process each."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.hub_server import Hub, serve

NAME = "someone/tiny"
FETCH = """
import sys
from kitrec.llm.base.fetching import fetch, is_cached
from kitrec.llm.base.pinning import PinnedBase
base = PinnedBase("someone/tiny", sys.argv[1], "someone/tiny@" + sys.argv[1])
"""
LOAD = FETCH + "from kitrec.llm.base.loading import load_for_serving\nload_for_serving(base, 'float32')"
TWO_ENGINES = (
    FETCH
    + """
if __name__ == "__main__":
    from kitrec.llm.generation.replicas import EngineSpec, start_engines
    from kitrec.llm.generation.requests import Request
    from kitrec.llm.generation.vllm_engine import Sampling
    from tests.llm.made_methods import made_engine
    engine = made_engine(replicas=2, max_model_len=256, gpu_memory_utilization=0.4)
    engines = start_engines(EngineSpec(base, engine, {}, 1, True))
    replies = engines.generate([Request([300, 301], None)] * 2, Sampling(2, 0.0, 1.0, 0, 1))
    assert [reply.tokens for reply in replies] == [2, 2]
"""
)


@pytest.fixture
def hub(tiny_base):
    hub = Hub()
    hub.repositories["models", NAME] = {path.name: path.read_bytes() for path in Path(tiny_base).iterdir()}
    served = serve(hub)
    hub.revision = hub.commit_of(NAME)
    yield hub
    served.shutdown()


def run(script: str, hub: Hub, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    (folder / "script.py").write_text(script)
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    hub_settings = {"HF_ENDPOINT": hub.url, "HF_HOME": str(folder / "cache"), "HF_HUB_DISABLE_XET": "1"}
    variables = inherited | hub_settings | {"PYTHONPATH": str(ROOT)} | environment
    command = [sys.executable, str(folder / "script.py"), hub.revision]
    return subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=240, check=False)


def test_a_fetched_base_loads_without_a_network(hub, tmp_path):
    assert run(f"{FETCH}assert not is_cached(base)\nfetch(base)\nassert is_cached(base)", hub, tmp_path).returncode == 0
    hub.repositories.clear()
    loaded = run(LOAD, hub, tmp_path, HF_HUB_OFFLINE="1")
    assert loaded.returncode == 0, loaded.stderr


def test_a_cache_that_holds_the_tokenizer_alone_is_no_base(hub, tmp_path):
    """Stages load the tokenizer first, so the folder of the revision exists before the weights do."""
    partly = "from huggingface_hub import hf_hub_download as get\n" + "\n".join(
        f"get(base.path, '{name}', revision=base.revision)" for name in ("config.json", "tokenizer.json")
    )
    done = run(f"{FETCH}{partly}\nassert not is_cached(base)\nfetch(base)\nassert is_cached(base)", hub, tmp_path)
    assert done.returncode == 0, done.stderr


def test_a_base_out_of_reach_is_one_message(hub, tmp_path):
    failed = run(f"{FETCH}fetch(base)", hub, tmp_path, HF_HUB_OFFLINE="1")
    assert "InputError: someone/tiny@" in failed.stderr and "check the network, HF_TOKEN" in failed.stderr


@pytest.mark.slow
def test_engines_in_processes_start_from_a_base_that_was_nowhere_on_this_machine(hub, tmp_path):
    done = run(TWO_ENGINES, hub, tmp_path)
    assert done.returncode == 0, done.stderr
