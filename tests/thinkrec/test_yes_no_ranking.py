"""Scores of candidates with a shared prefix against a plain forward pass each, and the rankings table."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from kitrec.core.auc import auc
from kitrec.core.tables import write
from kitrec.prompts.tokens import Encoder
from kitrec.schemas.rankings import RANKINGS
from kitrec.thinkrec import shared_prefix
from kitrec.thinkrec.adapter_mixture import StackedAdapters, mixtures
from kitrec.thinkrec.conversion import candidate_records, user_histories
from kitrec.thinkrec.prompt_composer import PromptComposer
from kitrec.thinkrec.shared_prefix import YesNoLogits, cut, shared_length, yes_no_logits, yes_no_logits_one_by_one
from kitrec.thinkrec.yes_no_ranking import TransformersScorer, make_validator, rank_candidates
from tests.thinkrec.made_thinkrec import BOTH, TEXT, made_composer, made_model, made_objective, made_record


@pytest.fixture(scope="module")
def model(tiny_base, tokenizer):
    return made_model(tiny_base, tokenizer)


def made_candidates(number: int, count: int):
    return [
        replace(made_record(number), target=f"i{k % 12}", target_title=f"Film {k} {'x' * (k % 5)}")
        for k in range(count)
    ]


@pytest.mark.parametrize(("template", "row_tokens"), [(BOTH, 40), ("<TargetItemID>? <ItemIDList>", 512)])
def test_shared_prefix_logits_equal_a_forward_pass_per_prompt(model, tokenizer, monkeypatch, row_tokens, template):
    monkeypatch.setattr(shared_prefix, "ROW_TOKENS", row_tokens)
    composer = made_composer(tokenizer, templates=(template,))
    lists = [
        [composer.compose(record) for record in made_candidates(number, count)]
        for number, count in ((0, 4), (3, 6), (2, 1))
    ]
    for prompts, actual in zip(lists, yes_no_logits(model, lists), strict=True):
        reference = yes_no_logits_one_by_one(model, prompts)
        for name in ("yes", "no", "log_yes", "log_no"):
            assert np.abs(getattr(actual, name) - getattr(reference, name)).max() < 2e-4, name
        with torch.no_grad():
            logits = model.llm(inputs_embeds=_embedded(model, prompts[-1])).logits[0, -1].log_softmax(-1)
        assert reference.log_yes[-1] == pytest.approx(logits[model.verdict_tokens.yes].item(), abs=1e-4)


def _embedded(model, prompt):
    rows = model.table(torch.from_numpy(prompt.ids))[None].detach().clone()
    rows[0, torch.from_numpy(prompt.slots)] = model.projector(torch.from_numpy(prompt.vectors)).detach()
    return rows


def test_the_shared_prefix_ends_at_the_first_difference(tokenizer):
    composer = made_composer(tokenizer, templates=("<UserID> same <TargetItemID> and <TargetItemTitle>",))
    one = composer.compose(replace(made_record(0), target="i1"))
    other = composer.compose(replace(made_record(0), target="i2"))
    assert shared_length([one, other]) == one.slots[1]  # ids are alike there, vectors are not
    unknown = composer.compose(replace(made_record(0), target="nowhere"))
    assert shared_length([one, unknown]) == one.slots[1]
    assert shared_length([one, one]) == len(one) - 1 == shared_length([one])
    longer = composer.compose(replace(made_record(0), target="i1", target_title="Film 0 and more"))
    assert one.slots[1] < shared_length([one, longer]) < len(one)
    assert (cut(one, int(one.slots[1]), len(one)).vectors == one.vectors[1:]).all()


def test_users_in_a_batch_do_not_change_each_other(model, tokenizer):
    scorer = TransformersScorer(model, made_composer(tokenizer), made_objective())
    lists = [made_candidates(number, 3) for number in range(3)]
    together = scorer.probabilities(lists)
    for records, reference in zip(lists, together, strict=True):
        assert np.allclose(scorer.probabilities([records])[0], reference, atol=1e-5)
    assert all(((p > 0) & (p < 1)).all() for p in together)


def test_scores_do_not_depend_on_the_order_of_records(model, tokenizer):
    scorer = TransformersScorer(model, made_composer(tokenizer), made_objective(logit="yes_minus_no"))
    records = [record for number in range(3) for record in made_candidates(number, 4)]
    values, order = scorer.score_records(records), np.random.default_rng(0).permutation(len(records))
    assert np.allclose(scorer.score_records([records[k] for k in order]), values[order], atol=1e-5)
    labels = [replace(record, label=k % 2) for k, record in enumerate(records)]
    metrics = make_validator(scorer, labels)()
    assert metrics["auc"] == pytest.approx(auc(np.array([record.label for record in labels]), values), abs=1e-6)


def test_each_user_is_scored_by_their_own_mixture(tiny_base, tokenizer):
    model = made_model(tiny_base, tokenizer, adapters=("general", "one", "two"))
    stack = StackedAdapters(model.llm, ["general", "one", "two"])
    scorer = TransformersScorer(model, made_composer(tokenizer), made_objective(), stack)
    lists = [made_candidates(number, 5) for number in range(3)]
    mixed = scorer.probabilities(lists, mixtures(np.eye(3), "linear"))
    for records, name, reference in zip(lists, ("general", "one", "two"), mixed, strict=True):
        model.llm.set_adapter(name)
        assert np.allclose(scorer.probabilities([records])[0], reference, atol=1e-5), name


@pytest.mark.parametrize(("logit", "value"), [("yes", 0.5), ("yes_minus_no", 2.5)])
def test_the_probability_equals_both_scores_worked_by_hand(logit, value):
    """Logits of Yes 1/2 and of No -2."""
    logits = YesNoLogits(*(np.array([number], dtype=np.float32) for number in (0.5, -2.0, -1.0, -3.5)))
    assert logits.probabilities(made_objective(logit=logit))[0] == pytest.approx(1 / (1 + np.exp(-value)), abs=1e-12)


def test_pipeline_records_become_rankings(model, tokenizer, dataset, items, tmp_path):
    records = dataset.records["B"]["test"].head(2)
    composer = PromptComposer((TEXT,), Encoder(tokenizer), 5, None, None)
    titles = {item_id: item["title"] for item_id, item in items.items()}
    item_lists = user_histories(records, dataset.interactions["test"])
    scorer = TransformersScorer(model, composer, made_objective())
    table = rank_candidates("thinkrec", records, item_lists, titles, scorer)
    write(table, tmp_path / "rankings.parquet", RANKINGS)
    for row, record in zip(table.iter_rows(named=True), records.iter_rows(named=True), strict=True):
        assert sorted(row["item_ids"]) == sorted(record["candidate_ids"])
        assert row["scores"] == sorted(row["scores"], reverse=True)
    candidates = candidate_records(records.row(0, named=True), item_lists, titles)
    one_by_one = scorer.probabilities([[record] for record in candidates])
    score_of = dict(zip(*table.select("item_ids", "scores").row(0), strict=True))
    assert [score_of[record.target] for record in candidates] == pytest.approx(
        [float(scores[0]) for scores in one_by_one], abs=1e-5
    )


def test_verdict_logits_of_a_16_bit_head_still_separate_candidates(tiny_base, tokenizer):
    """Differences of two logits near 16 are steps of 1/8 there."""
    model = made_model(tiny_base, tokenizer)
    model.llm.to(torch.bfloat16)
    head, tokens = model.causal.get_output_embeddings(), [model.verdict_tokens.yes, model.verdict_tokens.no]
    hidden = 8 * torch.randn(200, head.in_features, generator=torch.manual_seed(0)).bfloat16()

    def margin(logits: torch.Tensor) -> torch.Tensor:
        return (logits[:, 0] - logits[:, 1]).double()

    expected = margin(hidden.double() @ head.weight[tokens].double().T)
    assert torch.allclose(margin(model.verdict_logits(hidden)), expected, atol=1e-4)
    assert (margin(head(hidden)[:, tokens]) - expected).abs().max() > 1e-2
