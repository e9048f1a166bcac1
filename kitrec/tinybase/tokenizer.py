"""Tokenizer of the tiny base: byte-level BPE as in Qwen2/3, trained on the words of rehearsal worlds.

Deviation from Qwen's: the pre-tokenizer keeps KitREC's line furniture (`(ID: `, ` | Rating: 4.2`, the JSON keys) whole,
so that an item line is about a dozen tokens. Any text can be encoded: all 256 bytes are in the vocabulary."""

import re
from collections.abc import Iterable

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from kitrec.synthetic.ids import first_symbols, second_symbols
from kitrec.synthetic.vocabulary import ADJECTIVES, MOODS, NOUNS, THEME_WORDS
from kitrec.tinybase.params import TinyBase
from kitrec.tinybase.rehearsal import rehearsal_samples, rehearsal_world

_FURNITURE = [
    r" ?\(ID: ",
    r" \| Rating: \d\.\d",
    r" \|(?= )",
    r"\{\"rank\": \d+, \"item_id\": ",
    r", \"title\": ",
    r", \"confidence_score\": ",
    r", \"rationale\": ",
    r"\"(?=[,}A-Z])",
    r"```json\n",
]
_QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
_THINKING = ["<think>", "</think>"]
CHAT_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)


def train_base_tokenizer(seed: int, p: TinyBase) -> PreTrainedTokenizerFast:
    """Train the tokenizer on the prompts and outputs of a rehearsal world."""
    samples = rehearsal_samples(seed, 0, p, rehearsal_world(seed, 0, p), p.phases[-1].candidates[0])
    texts = (prompt + output for prompt, output, _ in samples)
    return train_tokenizer(re.sub(r"\b[A-Z]{10}\b", "", text) for text in texts)  # symbols must never be merged


def train_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """Train a tokenizer whose words, id symbols and furniture are single tokens; `texts` contribute the template."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    pattern = Regex("|".join([*_FURNITURE, _QWEN2]))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(pattern, behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=8192,
        min_frequency=50,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=_SPECIAL,
        show_progress=False,
    )
    tokenizer.train_from_iterator([*_lexicon(), *texts], trainer)
    tokenizer.add_tokens([AddedToken(t, special=False, normalized=False) for t in _THINKING])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def choice_opener(tokenizer: PreTrainedTokenizerBase) -> int:
    """Return the token after which a thought writes the chosen id."""
    (token,) = tokenizer(" (ID: ", add_special_tokens=False)["input_ids"]
    return int(token)


def words_of_kind() -> dict[str, list[str]]:
    """Return all words that are single tokens, by their role in a prompt."""
    return {
        "theme": [f" {word.capitalize()}" for word in THEME_WORDS],
        "first": first_symbols(),
        "second": second_symbols(),
        "word": [*(f" {w.capitalize()}" for w in (*ADJECTIVES, *NOUNS)), *(f" {mood}" for mood in MOODS), " Unknown"],
        "bare": [*(word.capitalize() for word in ADJECTIVES), "Unknown"],
        "rating": [f" | Rating: {k / 10:.1f}" for k in range(10, 51)],
    }


def _lexicon() -> list[str]:
    """Return every word often enough to become a single token; symbols most often, so that they are merged first."""
    kinds = words_of_kind()
    ids = [*kinds.pop("first"), *kinds.pop("second")]
    return ids * 1000 + [word for words in kinds.values() for word in words] * 200
