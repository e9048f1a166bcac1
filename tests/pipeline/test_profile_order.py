"""Profiles: their order says nothing, one of a group replaces another, and there is a way back."""

import functools
import itertools
import shutil
from pathlib import Path

import pytest
from dvc.utils.hydra import apply_overrides

from kitrec.config import overlays, profiles
from kitrec.config.sections import validate_tree
from kitrec.core import params
from kitrec.core.errors import InputError
from tests.conftest import ROOT

# What cannot go together, and the way out that the message names.
TABLES = ("books_movies", "art_office")
REAL = ("amazon2023", "kitrec_files", "kitrec_hub", *TABLES)
REFUSED = {(name, "distilled"): "kitrec profile use variants=distilled_real" for name in REAL}
REFUSED |= {(name, "with_preferred"): "preference.models: .* is no fine-tuned model; choose from" for name in TABLES}
REFUSED |= {
    (name, "real"): "rationales.methods: 'kitrec_full' is no method" for name in ("qwen3_14b", "qwen3_14b_32gb")
}
README = ["llm=qwen3_14b", "dataset=hundred"]


pytestmark = pytest.mark.usefixtures("in_project")


@pytest.fixture
def copy(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(overlays.shipped_text())
    return path


@pytest.fixture
def read_once(monkeypatch):
    """Read every file of conf/ once: thousands of combinations are tried."""
    for name in ("available", "overlay"):
        monkeypatch.setattr(overlays, name, functools.cache(getattr(overlays, name)))


def combinations(*groups: str) -> list[dict[str, str]]:
    """Every choice of at most one profile of each of these groups."""
    names = [[None, *overlays.available()[group]] for group in groups]
    return [
        {group: name for group, name in zip(groups, each, strict=True) if name} for each in itertools.product(*names)
    ]


def as_tree(values: dict[str, object]) -> dict:
    tree: dict = {"thinkrec": {"train": {}}, "source": {"hub": {"revisions": {}}}, "infer": {"methods": {}}}
    tree["titles"] = {"fusions": {}}  # maps that may be empty, as those above
    for key, value in values.items():
        *parents, last = key.split(".")
        functools.reduce(lambda node, part: node.setdefault(part, {}), parents, tree)[last] = value
    return tree


def test_the_packaged_defaults_are_the_shipped_params():
    shipped = (ROOT / "params.yaml").read_text()
    assert overlays.shipped_text() == shipped, "cp params.yaml kitrec/config/default_params.yaml"


@pytest.mark.usefixtures("read_once")
def test_every_combination_is_valid_in_both_orders_or_its_conflict_is_told():
    others = set(overlays.available()) - {"dataset", "llm", "variants"}  # they share no key with another group
    seen = combinations("dataset", "llm", "variants")
    seen += [active for group in sorted(others) for active in combinations(group, "variants")]
    assert len(seen) >= 250
    for active in seen:
        choices = [f"{group}={name}" for group, name in active.items()]
        values, other = (overlays.values_of(overlays.by_group(each)) for each in (choices, choices[::-1]))
        assert values == other and list(values) == list(other)
        refused = REFUSED.get((active.get("dataset"), active.get("variants")))
        refused = REFUSED.get((active.get("llm"), active.get("variants")), refused)
        if refused:
            with pytest.raises(InputError, match=refused):
                validate_tree(as_tree(values), Path("params.yaml"))
        else:
            validate_tree(as_tree(values), Path("params.yaml"))


@pytest.mark.usefixtures("read_once")
def test_the_profiles_behind_a_file_are_found_again():
    shipped = {"dataset": "default", "llm": "tiny"}
    for active in combinations("dataset", "llm", "variants") + combinations("idrec", "variants"):
        found = overlays.find_active(overlays.values_of(active))
        assert found == {group: name for group, name in active.items() if shipped.get(group) != name}, active


@pytest.mark.usefixtures("read_once")
def test_groups_that_set_the_same_key_have_a_stated_precedence():
    keys = {
        group: {key for name in names for key in overlays.overlay(f"{group}={name}")}
        for group, names in overlays.available().items()
    }
    shared = {(a, b): keys[a] & keys[b] for a, b in itertools.combinations(keys, 2) if keys[a] & keys[b]}
    assert {group for pair in shared for group in pair} <= set(overlays.PRECEDENCE), shared


@pytest.mark.parametrize("choices", [README, ["dataset=kitrec_hub", "llm=qwen3_14b_32gb", "variants=all_methods"]])
def test_orders_and_steps_end_with_the_same_bytes(copy, choices):
    profiles.use(copy, choices)
    at_once = copy.read_bytes()
    for order in (choices[::-1], choices):
        profiles.reset(copy, [])
        for choice in order:
            profiles.use(copy, [choice])
        assert copy.read_bytes() == at_once
    profiles.use(copy, choices[:1])  # again: nothing changes
    assert copy.read_bytes() == at_once


def test_a_profile_replaces_the_one_of_its_group(copy):
    for name in ("all_methods", "distilled", "thinkrec", "with_preferred"):
        change = profiles.use(copy, [f"variants={name}"])
        assert change.active == {"variants": name}
    assert change.replaced == ["variants=thinkrec"] and not change.conflicts
    stepwise = copy.read_bytes()
    copy.write_text(overlays.shipped_text())
    profiles.use(copy, ["variants=with_preferred"])
    assert copy.read_bytes() == stepwise
    with pytest.raises(InputError, match="dataset=smoke and dataset=hundred: a group has one profile at a time"):
        profiles.use(copy, ["dataset=smoke", "dataset=hundred"])


def test_conflicts_are_told(copy):
    messages = profiles.use(copy, README).conflicts
    assert "prompt.max_length: 8192 of llm=qwen3_14b holds, not 2816 of dataset=hundred" in messages
    assert not profiles.use(copy, ["variants=with_direct"]).conflicts
    profiles.put(copy, {"dualft.epochs": 5, "seed": 7})
    change = profiles.use(copy, ["llm=smoke"])
    assert "dualft.epochs: 1 of llm=smoke holds, not 5, which was set by hand" in change.conflicts
    assert change.kept == ["seed"] and params.read(copy)["seed"] == 7


def test_the_way_back_is_the_shipped_file_byte_for_byte(copy):
    profiles.put(copy, {"seed": 7})
    by_hand = copy.read_text()
    profiles.use(copy, ["dataset=hundred", "variants=distilled", "llm=smoke"])
    undone = profiles.reset(copy, ["variants", "dataset"])
    assert ("distillation.students", [], ["sasrec", "gru4rec"], "variants=distilled") in undone
    assert overlays.find_active(overlays.leaves(params.read(copy))) == {"llm": "smoke"}
    profiles.reset(copy, ["llm"])
    assert copy.read_text() == by_hand
    assert profiles.differences(copy) == [("seed", 42, 7, "by hand")]
    assert profiles.reset(copy, []) == [("seed", 42, 7, "by hand")]
    assert copy.read_text() == overlays.shipped_text() and not profiles.differences(copy)
    with pytest.raises(InputError, match="'variant' is no group of profiles; there are dataset"):
        profiles.reset(copy, ["variant"])


def test_own_comments_stay(copy):
    copy.write_text(copy.read_text().replace("seed: 42\n", "seed: 42   # as in our paper\n"))
    profiles.use(copy, ["variants=all_methods", "dataset=hundred"])
    assert "# as in our paper" in copy.read_text()
    profiles.reset(copy, ["variants", "dataset"])
    assert "# as in our paper" in copy.read_text() and not profiles.differences(copy)


def test_options_make_of_any_params_what_the_profiles_make_of_it(copy, tmp_path):
    """Checked by the function that `dvc exp run -S` uses; a method of the replaced profile goes."""
    profiles.use(copy, ["variants=all_methods", "dataset=hundred"])
    other = shutil.copy(copy, tmp_path / "experiment.yaml")
    options = " ".join(profiles.as_options(copy, ["variants=thinkrec", "dataset=smoke"])).split()
    assert "~infer.methods.base_cot" in options
    apply_overrides(other, options[1::2])
    profiles.use(copy, ["variants=thinkrec", "dataset=smoke"])
    assert params.read(other) == params.read(copy)
