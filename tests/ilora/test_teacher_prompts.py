"""Prompts as ids: which of them are item tokens, the effect of padding, titles that look like tokens."""

import pytest
import torch

from kitrec.core.errors import InputError
from kitrec.ilora.prompts import STYLE, PromptBuilder, text_only, to_sample
from kitrec.ilora.scoring import pad_left
from kitrec.prompts.template import candidate_line, history_line
from kitrec.prompts.tokens import Encoder
from tests.ilora.made_teachers import made_encoder, made_prompt_config, made_teacher, shipped_base

VOCAB_SIZE = 3648
FEATURES = {"categories": ["Fjord"], "average_rating": 4.0, "description": None}
ITEMS = {f"I{k:02}": {"title": f"Calm River {k}", **FEATURES} for k in range(20)}
NUMBERS = {item: k + 1 for k, item in enumerate(sorted(ITEMS))}


@pytest.fixture(scope="module")
def encoder(tokenizer):
    return Encoder(tokenizer)


def made_builder(encoder, items=ITEMS, numbers=NUMBERS, **changed) -> PromptBuilder:
    return PromptBuilder(encoder, items, numbers, VOCAB_SIZE, made_prompt_config(**changed))


def item_numbers_in(ids) -> list[int]:
    return [k - VOCAB_SIZE + 1 for k in ids if k >= VOCAB_SIZE]


def test_every_shown_item_is_followed_by_its_token(encoder):
    prompt = made_builder(encoder).build(["I03", "I04"], ["I00", "I19", "I07"], "I19")
    assert item_numbers_in(prompt.tokens) == [4, 5, 1, 20, 8]
    assert prompt.ground_truth == 1


@pytest.mark.parametrize("answer", ["title", "id"])
def test_without_item_tokens_the_prompt_is_plain_text(encoder, tokenizer, answer):
    builder = made_builder(encoder, answer=answer)
    sample = text_only(to_sample(builder.build(["I03"], ["I00", "I19"], "I19"), "u/1"), VOCAB_SIZE)
    text = tokenizer.decode(sample.ids[: sample.prompt_length])
    assert f"oldest first:\n{history_line(ITEMS['I03'], None, STYLE)}\n## List" in text
    line = "".join(
        candidate_line(i, ITEMS[i], STYLE) if answer == "id" else history_line(ITEMS[i], None, STYLE)
        for i in ("I00", "I19")
    )
    assert f"(2 items)\n{line}" in text
    expected = 'I19"' if answer == "id" else "Calm River 19<|im_end|>"
    assert tokenizer.decode(sample.ids[sample.prompt_length :]).startswith(expected)


def test_the_frame_is_the_chat_templates_own(encoder, tokenizer):
    sample = text_only(to_sample(made_builder(encoder).build(["I03"], ["I00", "I19"], "I19"), "u/1"), VOCAB_SIZE)
    text = tokenizer.decode(sample.ids[: sample.prompt_length])
    content = text.removeprefix("<|im_start|>user\n").partition("<|im_end|>")[0]
    rendered = tokenizer.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True, enable_thinking=False
    )
    assert text == rendered


@pytest.mark.parametrize("title", ["[HistoryEmb]", "[CansEmb]", "<|im_end|>", "<think>", "id 3650", chr(VOCAB_SIZE)])
def test_no_title_becomes_an_item_token_or_a_control_token(encoder, title):
    items = {**ITEMS, "I03": {**ITEMS["I03"], "title": title}}
    plain, tricked = (made_builder(encoder, table).build(["I03"], ["I00", "I03"], "I03") for table in (ITEMS, items))
    assert item_numbers_in(tricked.tokens) == item_numbers_in(plain.tokens)
    for control in (1, 2, 3594, 3595):
        assert tricked.tokens.count(control) == plain.tokens.count(control)


def test_an_unknown_item_has_text_only(encoder):
    numbers = {item: k for item, k in NUMBERS.items() if item != "I03"}
    prompt = made_builder(encoder, numbers=numbers).build(["I03", "I04"], ["I00", "I03"], "I00")
    assert item_numbers_in(prompt.tokens) == [5, 1]


def test_no_name_is_a_prefix_of_another(encoder):
    titles = ["Calm", "Calm River", "Calm River River"]
    items = {f"{k}": {"title": title, **FEATURES} for k, title in zip([1, 11, 111], titles, strict=True)}
    for answer in ("title", "id"):
        names = made_builder(encoder, items, {}, answer=answer).build(["1"], ["1", "11", "111"], None).candidates
        for name in names:
            assert sum(other[: len(name)] == name for other in names) == 1


def test_only_the_newest_items_of_a_history_are_shown(encoder):
    prompt = made_builder(encoder, max_history=2).build([f"I{k:02}" for k in range(9)], ["I10", "I11"], "I10")
    assert item_numbers_in(prompt.tokens)[:2] == [8, 9]


def test_prompts_that_are_too_long_and_unknown_items_are_refused(encoder):
    with pytest.raises(InputError, match="longer than max_length"):
        made_builder(encoder, max_length=50).build(["I03"], ["I00", "I19"], "I19")
    with pytest.raises(InputError, match="item X has no row"):
        made_builder(encoder).build(["X"], ["I00", "I19"], "I19")


def test_an_item_token_is_embedded_as_its_projected_vector(encoder, tiny_base):
    teacher = made_teacher(shipped_base(tiny_base), made_encoder())
    assert teacher.vocab_size == VOCAB_SIZE
    ids = torch.tensor([made_builder(encoder).build(["I03"], ["I00", "I19"], None).tokens])
    embedding = teacher.base.get_input_embeddings()
    embedded, plain = embedding(ids)[0], shipped_base(tiny_base).get_input_embeddings()
    weights = teacher.learned.projector.state_dict()
    for position, token in enumerate(ids[0].tolist()):
        if token < VOCAB_SIZE:
            assert torch.equal(embedded[position], plain.weight[token])
        else:
            v = teacher.sequence_encoder.item_vectors[token - VOCAB_SIZE]
            inner = torch.nn.functional.gelu(weights["inner.weight"] @ v + weights["inner.bias"])
            torch.testing.assert_close(embedded[position], weights["outer.weight"] @ inner + weights["outer.bias"])


def test_padding_on_either_side_changes_nothing(encoder, tiny_base):
    teacher = made_teacher(shipped_base(tiny_base), made_encoder())
    builder = made_builder(encoder)
    rows = [builder.build([f"I{k:02}" for k in range(n)], ["I10", "I11"], None).tokens for n in (1, 4, 9)]
    gates = teacher.gates(teacher.sequence_encoder.encode([["I00"], ["I01"], ["I02"]]))
    ids, mask = pad_left(rows, pad_id=0)
    right = torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True)
    with torch.no_grad(), teacher.use_gates(gates):
        left_logits = teacher.base(
            input_ids=ids, attention_mask=mask, position_ids=(mask.cumsum(1) - 1).clamp(0)
        ).logits
        right_logits = teacher.base(input_ids=right).logits
    for k, row in enumerate(rows):
        with torch.no_grad(), teacher.use_gates(gates[k : k + 1]):
            unpadded = teacher.base(input_ids=torch.tensor([row])).logits[0]
        assert (left_logits[k, -len(row) :] - unpadded).abs().max() < 1e-4
        assert (right_logits[k, : len(row)] - unpadded).abs().max() < 1e-4
