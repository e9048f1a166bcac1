"""Scores of candidates with a shared beginning against one plain forward each, and the tables they become."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from kitrec.core.tables import write
from kitrec.prompts.tokens import Encoder
from kitrec.schemas.rankings import RANKINGS
from kitrec.thinkrec import shared_prefix
from kitrec.thinkrec.adapter_mixture import Stack
from kitrec.thinkrec.auc import auc
from kitrec.thinkrec.conversion import asked_candidates, histories_of
from kitrec.thinkrec.prompt_composer import Composer
from kitrec.thinkrec.shared_prefix import ask, ask_one_by_one, cut, shared_length
from kitrec.thinkrec.yes_no_ranking import Asker, judge_of, rank
from tests.thinkrec.made_thinkrec import BOTH, TEXT, a_composer, a_model, a_record, an_objective


@pytest.fixture(scope="module")
def model(tiny_base, tokenizer):
    return a_model(tiny_base, tokenizer)


def a_list(number: int, count: int):
    return [
        replace(a_record(number), target=f"i{k % 12}", target_title=f"Film {k} {'x' * (k % 5)}") for k in range(count)
    ]


@pytest.mark.parametrize(("template", "row_tokens"), [(BOTH, 40), ("<TargetItemID>? <ItemIDList>", 512)])
def test_equal_to_a_forward_each(model, tokenizer, monkeypatch, row_tokens, template):
    monkeypatch.setattr(shared_prefix, "ROW_TOKENS", row_tokens)
    composer = a_composer(tokenizer, templates=(template,))
    lists = [[composer.compose(own) for own in a_list(number, count)] for number, count in ((0, 4), (3, 6), (2, 1))]
    for prompts, said in zip(lists, ask(model, lists), strict=True):
        truth = ask_one_by_one(model, prompts)
        for name in ("yes", "no", "log_yes", "log_no"):
            assert np.abs(getattr(said, name) - getattr(truth, name)).max() < 2e-4, name
        with torch.no_grad():
            logits = model.llm(inputs_embeds=_embedded(model, prompts[-1])).logits[0, -1].log_softmax(-1)
        assert truth.log_yes[-1] == pytest.approx(logits[model.verdicts.yes].item(), abs=1e-4)


def _embedded(model, own):
    rows = model.table(torch.from_numpy(own.ids))[None].detach().clone()
    rows[0, torch.from_numpy(own.slots)] = model.projector(torch.from_numpy(own.vectors)).detach()
    return rows


def test_what_is_shared_ends_at_the_first_difference(tokenizer):
    composer = a_composer(tokenizer, templates=("<UserID> same <TargetItemID> and <TargetItemTitle>",))
    one = composer.compose(replace(a_record(0), target="i1"))
    other = composer.compose(replace(a_record(0), target="i2"))
    assert shared_length([one, other]) == one.slots[1]  # ids are alike there, vectors are not
    stranger = composer.compose(replace(a_record(0), target="nowhere"))
    assert shared_length([one, stranger]) == one.slots[1]
    assert shared_length([one, one]) == len(one) - 1 == shared_length([one])
    longer = composer.compose(replace(a_record(0), target="i1", target_title="Film 0 and more"))
    assert one.slots[1] < shared_length([one, longer]) < len(one)
    assert (cut(one, int(one.slots[1]), len(one)).vectors == one.vectors[1:]).all()


def test_users_in_a_batch_do_not_change_each_other(model, tokenizer):
    asker = Asker(model, a_composer(tokenizer), an_objective())
    lists = [a_list(number, 3) for number in range(3)]
    together = asker.probabilities(lists)
    for own, truth in zip(lists, together, strict=True):
        assert np.allclose(asker.probabilities([own])[0], truth, atol=1e-5)
    assert all(((p > 0) & (p < 1)).all() for p in together)


def test_records_in_any_order_get_their_own_answer(model, tokenizer):
    asker = Asker(model, a_composer(tokenizer), an_objective(logit="yes_minus_no"))
    records = [own for number in range(3) for own in a_list(number, 4)]
    values, order = asker.flat(records), np.random.default_rng(0).permutation(len(records))
    assert np.allclose(asker.flat([records[k] for k in order]), values[order], atol=1e-5)
    labels = [replace(own, label=k % 2) for k, own in enumerate(records)]
    judged = judge_of(asker, labels)()
    assert judged["auc"] == pytest.approx(auc(np.array([own.label for own in labels]), values), abs=1e-6)


def test_each_user_is_answered_by_their_own_mixture(tiny_base, tokenizer):
    model = a_model(tiny_base, tokenizer, adapters=("general", "one", "two"))
    stack = Stack(model.llm, ["general", "one", "two"])
    asker = Asker(model, a_composer(tokenizer), an_objective(), stack)
    lists = [a_list(number, 5) for number in range(3)]
    mixed = asker.probabilities(lists, np.eye(3))
    for own, name, truth in zip(lists, ("general", "one", "two"), mixed, strict=True):
        model.llm.set_adapter(name)
        assert np.allclose(asker.probabilities([own])[0], truth, atol=1e-5), name


def test_the_pipelines_records_become_rankings(model, tokenizer, dataset, items, tmp_path):
    records = dataset.records["B"]["test"].head(2)
    composer = Composer((TEXT,), Encoder(tokenizer), 5, None, None)
    titles = {own: item["title"] for own, item in items.items()}
    met = histories_of(records, dataset.interactions["test"])
    table = rank("thinkrec", records, met, titles, Asker(model, composer, an_objective()))
    write(table, tmp_path / "rankings.parquet", RANKINGS)
    for row, record in zip(table.iter_rows(named=True), records.iter_rows(named=True), strict=True):
        assert sorted(row["item_ids"]) == sorted(record["candidate_ids"])
        assert row["scores"] == sorted(row["scores"], reverse=True)
    asked = asked_candidates(records.row(0, named=True), met, titles)
    alone = Asker(model, composer, an_objective()).probabilities([[own] for own in asked])
    found = dict(zip(*table.select("item_ids", "scores").row(0), strict=True))
    assert [found[own.target] for own in asked] == pytest.approx([float(own[0]) for own in alone], abs=1e-5)


def test_a_head_of_16_bits_still_tells_candidates_apart(tiny_base, tokenizer):
    """Differences of two logits near 16 are steps of 1/8 there."""
    model = a_model(tiny_base, tokenizer)
    model.llm.to(torch.bfloat16)
    head, own = model.causal.get_output_embeddings(), [model.verdicts.yes, model.verdicts.no]
    hidden = 8 * torch.randn(200, head.in_features, generator=torch.manual_seed(0)).bfloat16()

    def ahead(logits: torch.Tensor) -> torch.Tensor:
        return (logits[:, 0] - logits[:, 1]).double()

    wanted = ahead(hidden.double() @ head.weight[own].double().T)
    assert torch.allclose(ahead(model.verdict_logits(hidden)), wanted, atol=1e-4)
    assert (ahead(head(hidden)[:, own]) - wanted).abs().max() > 1e-2
