"""Budgets belong to the base: every method of a base gets the same thought, and every untrained one the same items."""

import shutil

import pytest

from kitrec.config import profiles
from kitrec.config.sections import validate_params
from kitrec.core import params
from kitrec.core.errors import InputError
from kitrec.llm.generation.params import Budgets, Method, MethodParams, budgeted
from tests.conftest import ROOT

METHOD = {"steps": "single", "temperature": 0.0, "top_p": 1.0, "top_k": 0, "structured_outputs": False}
BUDGETS = Budgets(thought_tokens=1000, item_tokens=200, answer_items=10, close_thoughts=True)


def of(model: str, *, thinking: bool, budgets: Budgets = BUDGETS, **changes: object) -> Method:
    return budgeted(MethodParams(**{**METHOD, "model": model, "thinking": thinking, **changes}), budgets)


@pytest.mark.parametrize(
    ("model", "thinking", "items", "tokens", "closed_after"),
    [
        ("full", True, 1, 1200, 1000),
        ("preferred", True, 1, 1200, 1000),
        ("direct", False, 1, 200, None),
        ("base", True, 10, 3000, 1000),
        ("base", False, 10, 2000, None),
    ],
)
def test_a_method_gets_a_thought_if_it_thinks_and_tokens_for_every_item(model, thinking, items, tokens, closed_after):
    method = of(model, thinking=thinking)
    assert (method.answer_items, method.max_new_tokens, method.thinking_budget) == (items, tokens, closed_after)


def test_a_thought_is_closed_where_the_base_says_so_or_a_schema_follows_it():
    left_open = Budgets(thought_tokens=1000, item_tokens=200, answer_items=10, close_thoughts=False)
    assert of("base", thinking=True, budgets=left_open).thinking_budget is None
    assert of("base", thinking=True, budgets=left_open, structured_outputs=True).thinking_budget == 1000
    assert of("base", thinking=False, budgets=left_open, structured_outputs=True).thinking_budget is None


@pytest.fixture
def copy(tmp_path, in_project):
    return shutil.copy(in_project / "params.yaml", tmp_path / "params.yaml")


def methods_of(path) -> dict[str, Method]:
    infer = validate_params(path)["infer"]
    return {name: budgeted(method, infer.budgets) for name, method in infer.methods.items()}


def test_the_default_run_has_the_limits_it_always_had(copy):
    limits = {name: (m.max_new_tokens, m.thinking_budget, m.answer_items) for name, m in methods_of(copy).items()}
    assert limits == {"kitrec_full": (128, None, 1), "base_direct": (96, None, 1)}
    profiles.use(copy, ["variants=all_methods"])
    limits = {name: m.max_new_tokens for name, m in methods_of(copy).items()}
    assert limits["llm4cdr"] == limits["kitrec_direct"] == 96 and limits["base_cot"] == 128


def test_rationales_are_scored_on_a_real_base_and_not_on_the_tiny_one(copy):
    assert validate_params(copy)["rationales"].methods == []
    profiles.use(copy, ["llm=qwen3_14b"])
    assert validate_params(copy)["rationales"].methods == ["kitrec_full", "base_direct"]
    profiles.use(copy, ["llm=tiny"])
    assert validate_params(copy)["rationales"].methods == []


VARIANTS = ("all_methods", "with_direct", "with_preferred")


@pytest.mark.parametrize("order", [["llm=qwen3_14b", "variants"], ["variants", "llm=qwen3_14b"]])
@pytest.mark.parametrize("variant", VARIANTS)
def test_on_a_real_base_every_method_of_every_variant_has_room_for_real_thoughts(copy, variant, order):
    """Published thoughts have 1,400 to 3,000 characters, an item with its rationale 150 to 200 tokens."""
    for choice in order:
        profiles.use(copy, [choice if "=" in choice else f"variants={variant}"])
    methods = methods_of(copy)
    assert len(methods) > 2
    for name, method in methods.items():
        thought = method.max_new_tokens - method.answer_items * 200
        assert thought >= (1536 if method.thinking else 0), name
        assert method.answer_items == (10 if method.model == "base" else 1), name
    limits = {(m.thinking, m.fine_tuned): m.max_new_tokens for m in methods.values()}
    assert all(limits[m.thinking, m.fine_tuned] == m.max_new_tokens for m in methods.values())


@pytest.mark.parametrize("folder", ["variants", "llm"])
def test_variants_state_no_tokens_and_bases_name_no_methods(folder):
    for path in sorted((ROOT / "conf" / folder).glob("*.yaml")):
        keys = profiles.leaves(params.read(path))
        refused = ("tokens", "budget", "answer_items") if folder == "variants" else ("infer.methods.",)
        assert not [key for key in keys if any(part in key for part in refused)], path


def test_lists_of_different_lengths_are_not_declared_to_be_compared_as_wholes(copy):
    profiles.use(copy, ["llm=qwen3_14b"])
    written = {"evaluation.family.kind": "written", "evaluation.family.pairs": [["kitrec_full", "base_direct"]]}
    with pytest.raises(InputError, match=r"numbers of items \(kitrec_full 1, base_direct 10\) compare in hit@1 alone"):
        profiles.put(copy, written)
    profiles.put(copy, written | {"evaluation.family.metrics": ["hit@1"]})
    profiles.put(copy, written | {"infer.budgets.answer_items": 1, "evaluation.family.metrics": ["mrr"]})


def test_the_written_ablation_needs_equal_lists_too(copy):
    profiles.use(copy, ["llm=qwen3_14b", "variants=all_methods"])
    with pytest.raises(InputError, match=r"evaluation.ablation.methods: .* base_cot 10, base_direct 10"):
        profiles.put(copy, {"evaluation.ablation.kind": "written"})


def test_rewarded_answers_have_the_room_of_answers(copy):
    profiles.use(copy, ["variants=with_preferred"])
    profiles.put(copy, {"preference.max_new_tokens": 100})  # dpo writes nothing
    with pytest.raises(InputError, match=r"preference.max_new_tokens: 100 cuts answers .* raise it to 128"):
        profiles.put(copy, {"preference.method": "grpo"})


def test_an_old_file_says_where_its_limits_went(copy):
    text = copy.read_text()
    copy.write_text(text.replace("      thinking: true\n", "      thinking: true\n      max_new_tokens: 128\n"))
    with pytest.raises(InputError) as refused:
        validate_params(copy)
    message = "max_new_tokens: moved to `infer.budgets.item_tokens`, of the base and all its methods; remove it here"
    assert str(refused.value).splitlines()[1:] == [
        f"  - infer.methods.kitrec_full.{message}",
        f"  - infer.methods.base_direct.{message}",
    ]
