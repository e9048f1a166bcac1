"""Prompts as ids: which of them are items' words, what padding does, what a title cannot do."""

import pytest
import torch

from kitrec.core.errors import InputError
from kitrec.ilora.prompts import STYLE, Writer, sample_of, text_only
from kitrec.ilora.scoring import left_padded
from kitrec.prompts.template import candidate_line, history_line
from kitrec.prompts.tokens import Encoder
from tests.ilora.made_teachers import a_choice, a_teacher, shipped_base, some_eyes

WORDS = 3648
FACTS = {"categories": ["Fjord"], "average_rating": 4.0, "description": None}
ITEMS = {f"I{k:02}": {"title": f"Calm River {k}", **FACTS} for k in range(20)}
NUMBERS = {item: k + 1 for k, item in enumerate(sorted(ITEMS))}


@pytest.fixture(scope="module")
def encoder(tokenizer):
    return Encoder(tokenizer)


def a_writer(encoder, items=ITEMS, numbers=NUMBERS, **changed) -> Writer:
    return Writer(encoder, items, numbers, WORDS, a_choice(**changed))


def words_of(ids) -> list[int]:
    return [k - WORDS + 1 for k in ids if k >= WORDS]


def test_every_shown_item_is_followed_by_its_word(encoder):
    asked = a_writer(encoder).ask(["I03", "I04"], ["I00", "I19", "I07"], "I19")
    assert words_of(asked.text) == [4, 5, 1, 20, 8]
    assert asked.truth == 1


@pytest.mark.parametrize("answer", ["title", "id"])
def test_without_the_words_the_prompt_reads_as_text(encoder, tokenizer, answer):
    writer = a_writer(encoder, answer=answer)
    sample = text_only(sample_of(writer.ask(["I03"], ["I00", "I19"], "I19"), "u/1"), WORDS)
    text = tokenizer.decode(sample.ids[: sample.prompt_length])
    assert f"oldest first:\n{history_line(ITEMS['I03'], None, STYLE)}\n## List" in text
    line = "".join(
        candidate_line(i, ITEMS[i], STYLE) if answer == "id" else history_line(ITEMS[i], None, STYLE)
        for i in ("I00", "I19")
    )
    assert f"(2 items)\n{line}" in text
    wanted = 'I19"' if answer == "id" else "Calm River 19<|im_end|>"
    assert tokenizer.decode(sample.ids[sample.prompt_length :]).startswith(wanted)


def test_the_frame_is_the_chat_templates_own(encoder, tokenizer):
    sample = text_only(sample_of(a_writer(encoder).ask(["I03"], ["I00", "I19"], "I19"), "u/1"), WORDS)
    text = tokenizer.decode(sample.ids[: sample.prompt_length])
    asked = text.removeprefix("<|im_start|>user\n").partition("<|im_end|>")[0]
    rendered = tokenizer.apply_chat_template(
        [{"role": "user", "content": asked}], tokenize=False, add_generation_prompt=True, enable_thinking=False
    )
    assert text == rendered


@pytest.mark.parametrize("title", ["[HistoryEmb]", "[CansEmb]", "<|im_end|>", "<think>", "id 3650", chr(WORDS)])
def test_no_title_becomes_a_word_of_an_item_or_a_control_token(encoder, title):
    items = {**ITEMS, "I03": {**ITEMS["I03"], "title": title}}
    plain, tricked = (a_writer(encoder, own).ask(["I03"], ["I00", "I03"], "I03") for own in (ITEMS, items))
    assert words_of(tricked.text) == words_of(plain.text)
    for control in (1, 2, 3594, 3595):
        assert tricked.text.count(control) == plain.text.count(control)


def test_an_unknown_item_has_text_alone(encoder):
    numbers = {item: k for item, k in NUMBERS.items() if item != "I03"}
    asked = a_writer(encoder, numbers=numbers).ask(["I03", "I04"], ["I00", "I03"], "I00")
    assert words_of(asked.text) == [5, 1]


def test_no_name_is_the_beginning_of_another(encoder):
    titles = ["Calm", "Calm River", "Calm River River"]
    items = {f"{k}": {"title": title, **FACTS} for k, title in zip([1, 11, 111], titles, strict=True)}
    for answer in ("title", "id"):
        names = a_writer(encoder, items, {}, answer=answer).ask(["1"], ["1", "11", "111"], None).names
        for one in names:
            assert sum(other[: len(one)] == one for other in names) == 1


def test_only_the_newest_of_a_history_is_shown(encoder):
    asked = a_writer(encoder, history=2).ask([f"I{k:02}" for k in range(9)], ["I10", "I11"], "I10")
    assert words_of(asked.text)[:2] == [8, 9]


def test_what_does_not_fit_is_refused(encoder):
    with pytest.raises(InputError, match="longer than max_length"):
        a_writer(encoder, max_length=50).ask(["I03"], ["I00", "I19"], "I19")
    with pytest.raises(InputError, match="item X has no row"):
        a_writer(encoder).ask(["X"], ["I00", "I19"], "I19")


def test_an_items_word_is_its_projected_vector(encoder, tiny_base):
    teacher = a_teacher(shipped_base(tiny_base), some_eyes())
    assert teacher.words == WORDS
    ids = torch.tensor([a_writer(encoder).ask(["I03"], ["I00", "I19"], None).text])
    embedding = teacher.base.get_input_embeddings()
    found, plain = embedding(ids)[0], shipped_base(tiny_base).get_input_embeddings()
    weights = teacher.learned.projector.state_dict()
    for place, word in enumerate(ids[0].tolist()):
        if word < WORDS:
            assert torch.equal(found[place], plain.weight[word])
        else:
            v = teacher.eyes.vectors[word - WORDS]
            inner = torch.nn.functional.gelu(weights["inner.weight"] @ v + weights["inner.bias"])
            torch.testing.assert_close(found[place], weights["outer.weight"] @ inner + weights["outer.bias"])


def test_padding_on_either_side_changes_nothing(encoder, tiny_base):
    teacher = a_teacher(shipped_base(tiny_base), some_eyes())
    writer = a_writer(encoder)
    rows = [writer.ask([f"I{k:02}" for k in range(n)], ["I10", "I11"], None).text for n in (1, 4, 9)]
    gates = teacher.gates(teacher.eyes.seen([["I00"], ["I01"], ["I02"]]))
    ids, real = left_padded(rows, pad_id=0)
    right = torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True)
    with torch.no_grad(), teacher.speaking(gates):
        left_states = teacher.base(
            input_ids=ids, attention_mask=real, position_ids=(real.cumsum(1) - 1).clamp(0)
        ).logits
        right_states = teacher.base(input_ids=right).logits
    for k, row in enumerate(rows):
        with torch.no_grad(), teacher.speaking(gates[k : k + 1]):
            alone = teacher.base(input_ids=torch.tensor([row])).logits[0]
        assert (left_states[k, -len(row) :] - alone).abs().max() < 1e-4
        assert (right_states[k, : len(row)] - alone).abs().max() < 1e-4
