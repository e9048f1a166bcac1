"""The tiny base's own tokenizer: byte-level BPE as in Qwen2/3, trained on the words of rehearsal worlds.

Deviation from Qwen's: the pre-tokenizer keeps KitREC's line furniture (`(ID: `, ` | Rating: 4.2`, the JSON keys) whole,
so that an item line is about a dozen tokens. Any text can be encoded: all 256 bytes are in the vocabulary."""

import re
from collections.abc import Iterable

import numpy as np
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from kitrec.prompts.tokens import Encoder
from kitrec.tinybase.params import TinyBase
from kitrec.tinybase.rehearsal import rehearsal_samples, rehearsal_world
from kitrec.world.ids import COMMON_SYMBOLS, symbols
from kitrec.world.words import ADJECTIVES, MOODS, NOUNS, THEME_WORDS

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


def learn_tokenizer(seed: int, p: TinyBase) -> tuple[PreTrainedTokenizerFast, np.ndarray]:
    """The tokenizer that one rehearsal world's prompts and outputs teach, and each token's share of them."""
    samples = rehearsal_samples(seed, 0, p, rehearsal_world(seed, 0, p), p.phases[-1].candidates[0])
    texts = [prompt + output for prompt, output, _ in samples]
    tokenizer = train_tokenizer(re.sub(r"\b[A-Z]{10}\b", "", text) for text in texts)  # symbols must never be glued
    encoder = Encoder(tokenizer)
    counts = np.bincount(np.concatenate([encoder.plain(text) for text in texts]), minlength=len(tokenizer))
    return tokenizer, counts / counts.sum()


def train_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """A tokenizer whose words, symbols of ids and furniture are single tokens; `texts` teach it the template."""
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


def _lexicon() -> list[str]:
    """Every word often enough to become one token; symbols most often, so that their merges come before all others."""
    ratings = [f" | Rating: {k / 10:.1f}" for k in range(10, 51)]
    spaced = [f" {w.capitalize()}" for w in (*THEME_WORDS, *ADJECTIVES, *NOUNS)]
    bare = [w.capitalize() for w in ADJECTIVES] + ["Unknown", " Unknown"]
    return [*symbols(COMMON_SYMBOLS)] * 5000 + [*spaced, *bare, *(f" {m}" for m in MOODS), *ratings] * 200
