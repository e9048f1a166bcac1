"""A small world that all tests share, built once."""

import os
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"  # read when torch is imported, and by every process that a test starts

from collections.abc import Iterator

import pytest
import torch

from kitrec.core.domains import KITREC
from kitrec.preprocessing.dataset import Dataset, build_dataset
from kitrec.preprocessing.params import Candidates, Users
from kitrec.preprocessing.users import classify, sample_roles
from kitrec.synthetic.build import SyntheticWorld, build_world
from kitrec.synthetic.params import World

torch.set_num_threads(1 if "PYTEST_XDIST_WORKER" in os.environ else 2)
ROOT = Path(__file__).resolve().parents[1]

WORLD = World(
    books=150,
    movies=110,
    music=110,
    themes=10,
    favourites=3,
    communities=4,
    theme_strength=4.0,
    community_strength=1.0,
    popularity_strength=0.4,
    recency_strength=0.05,
    mean_books_per_user=9,
    mean_target_items_per_user=8,
    movies_without_metadata=0.1,
    description_words=1,
)
USERS = Users(train=12, preference=3, test=5, development_share=0.25, min_source_items=5, cut=False)
CANDIDATES = Candidates(count=20, same_category=8, neighbours=6, popularity_matched=5)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest file goes first: beside it another process has time for all the others."""
    items.sort(key=lambda item: item.path.name != "test_end_to_end.py")


@pytest.fixture(scope="session")
def world() -> SyntheticWorld:
    return build_world(7, WORLD, USERS.per_type)


@pytest.fixture(scope="session")
def dataset(world: SyntheticWorld) -> Dataset:
    roles = sample_roles(7, classify(world.interactions, KITREC, USERS.min_source_items), USERS)
    share = USERS.development_share
    return build_dataset(7, KITREC, roles, share, CANDIDATES, world.items, world.interactions, ("A", "B"))


@pytest.fixture(scope="session")
def items(world: SyntheticWorld) -> dict[str, dict]:
    return {row["item_id"]: row for row in world.items.iter_rows(named=True)}


@pytest.fixture
def in_project(monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run from the project's root, as stages and the command line do."""
    monkeypatch.chdir(ROOT)
    return ROOT


@pytest.fixture(scope="session")
def tiny_base() -> Path:
    """The base the repository ships."""
    return ROOT / "base" / "tiny-qwen3"


def base_folder(name: str) -> Path:
    """The folder of a base; skip where nobody imported it (KITREC_BASES: another place to look)."""
    places = [ROOT / "base", *map(Path, filter(None, [os.environ.get("KITREC_BASES")]))]
    found = next((place / name for place in places if (place / name / "config.json").is_file()), None)
    return found or pytest.skip(f"base/{name} is absent: `kitrec base fetch {name}` imports it")


@pytest.fixture(scope="session")
def tokenizer(tiny_base: Path):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_base)


@pytest.fixture(autouse=True)
def gradients_stay_enabled() -> Iterator[None]:
    """A test that leaves torch without gradients fails itself, not every later one in its process."""
    yield
    if not torch.is_grad_enabled():
        torch.set_grad_enabled(True)
        pytest.fail("this test left torch without gradients")
