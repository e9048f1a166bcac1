"""What a chat template writes around the turns of a conversation, found by rendering it with slots in their place.

Nothing about a family is taken for granted: the end of a turn is what the template writes behind an assistant's
message, a system line of its own belongs to the prompt, a beginning of sequence (BOS) stands there once, whether the
template writes it or the tokenizer. A template that breaks what the pipeline needs is refused by name."""

from dataclasses import dataclass
from datetime import date
from typing import Any

from jinja2.exceptions import TemplateError

from kitrec.core.errors import InputError

USER, ASSISTANT = "\x00", "\x01"
TODAY = date(2025, 1, 1)  # of templates that write the date: prompts must be the same tomorrow


@dataclass(frozen=True)
class Frame:
    """The token ids before a user's text, and those from its end to where the assistant's begins."""

    before: list[int]
    after: list[int]


def read_frame(tokenizer: Any, *, thinking: bool) -> Frame:
    """Return what the template writes around a user's text, with BOS where the tokenizer begins every text by it."""
    text = _render(tokenizer, [("user", USER)], add_generation_prompt=True, enable_thinking=thinking)
    if text.count(USER) != 1:
        problem = "drops the user's text" if USER not in text else "writes the user's text more than once"
        raise InputError(f"the chat template of {tokenizer.name_or_path} {problem}: take another base or template")
    before, after = (tokenizer(part, add_special_tokens=False)["input_ids"] for part in text.split(USER))
    if "<think>" in text.rpartition("</think>")[2]:
        raise InputError(
            f"the chat template of {tokenizer.name_or_path} opens a thought itself, so that no answer could do without "
            "one: take a base that also answers at once (Qwen3), or one that never thinks"
        )
    return Frame([*_bos(tokenizer, before), *before], after)


def read_end_of_turn(tokenizer: Any) -> int:
    """Return the token that ends an assistant's message: the first control token behind it, else the tokenizer's EOS.

    It ends what is learned and what is generated, so it must be a token that no text can be."""
    turns = [("user", USER), ("assistant", ASSISTANT)]
    _, slot, behind = _render(tokenizer, turns, add_generation_prompt=False).partition(ASSISTANT)
    if not slot:
        raise InputError(f"the chat template of {tokenizer.name_or_path} drops the assistant's text: take another base")
    ids = tokenizer(behind, add_special_tokens=False)["input_ids"]
    added = set(tokenizer.get_added_vocab().values())
    first = next((k for k, token in enumerate(ids) if token in added), len(ids))
    if tokenizer.decode(ids[:first], skip_special_tokens=False).strip():
        raise InputError(
            f"the chat template of {tokenizer.name_or_path} ends an assistant's message by text ({behind!r}), not by a "
            "control token, so the end of an answer cannot be told from its text: take another base or template"
        )
    if first < len(ids):
        return int(ids[first])
    if tokenizer.eos_token_id is None:
        raise InputError(
            f"neither the chat template nor the tokenizer of {tokenizer.name_or_path} names a token that ends an "
            "answer: take another base, or a template that writes one"
        )
    return int(tokenizer.eos_token_id)


def _bos(tokenizer: Any, before: list[int]) -> list[int]:
    """Return [BOS] where the tokenizer begins every text by it and the template did not write it."""
    bos = tokenizer.bos_token_id
    added = bos is not None and tokenizer("a")["input_ids"][:1] == [bos]
    return [bos] if added and before[:1] != [bos] else []


def _render(tokenizer: Any, turns: list[tuple[str, str]], **options: Any) -> str:
    messages = [{"role": role, "content": content} for role, content in turns]
    try:
        text = tokenizer.apply_chat_template(
            messages,
            tokenize=False,
            date_string=TODAY.strftime("%d %b %Y"),
            strftime_now=TODAY.strftime,
            **options,
        )
    except (TemplateError, TypeError) as problem:
        raise InputError(
            f"the chat template of {tokenizer.name_or_path} cannot render a conversation of texts ({problem}): take "
            "another base, or import one with a template of your own (`kitrec base import --chat-template`)"
        ) from None
    return str(text)
