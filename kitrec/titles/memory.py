"""Does a base know a data set by heart? What it continues greedily, beside what it would hit without knowing the pair.

A base that read a benchmark in pre-training scores higher on it than elsewhere (Zhang et al., arXiv 2602.13626). Three
probes, each a plain text of lines as in lines.py that the base continues to the end of the line:
    title     the first half of a title without brackets     -> the other half
    history   the source items of a user but the newest one  -> the newest one
    next      all items of a user, no candidates shown       -> the held-out item
A line is a hit if it equals the truth in its words, whatever case, marks and brackets. A text and its truth count once,
however many records have them: greedy, a text that is repeated tells nothing new. The control compares the line with
another truth, shuffled among the different ones: what popular names and common endings hit. Interval: Clopper-Pearson;
p: exact sign test over the pairs in which one of both is hit. A share above its control is knowledge of the pair: by
heart, or because the truth is the next volume of a series."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import torch
from scipy import stats
from transformers import GenerationConfig

from kitrec.core.domains import Domains
from kitrec.core.errors import InputError
from kitrec.core.randomness import generator
from kitrec.ilora.scoring import pad_left
from kitrec.llm.base.loading import load_base, load_tokenizer
from kitrec.llm.base.pinning import PinnedBase
from kitrec.llm.likelihood.shared_prefix import batches
from kitrec.prompts.tokens import Encoder
from kitrec.titles.lines import Lines, build_lines

TITLE_TOKENS = 64  # longest title, and longest continuation
NEWEST = 20  # items of a history that are shown
BATCH_TOKENS = 4096
_BRACKETS = re.compile(r"\(.*?\)|\[.*?\]")


@dataclass(frozen=True)
class Probe:
    """Texts as token ids, how each goes on, and how another one goes on."""

    prompts: list[list[int]]
    truths: list[str]
    controls: list[str]


def probes(records: pl.DataFrame, items: pl.DataFrame, lines: Lines, encoder: Encoder, seed: int) -> dict[str, Probe]:
    """Return the three probes of these records, by name."""
    titles = dict(items.drop_nulls("title").select("item_id", "title").iter_rows())
    number = dict(zip(lines.catalogue.vocabulary.item_ids, range(1, len(lines.catalogue) + 1), strict=True))
    texts: dict[str, list[tuple[list[int], str]]] = {"title": [], "history": [], "next": []}
    for source, target, truth in records.select("source_items", "target_items", "gt_item_id").iter_rows():
        words = _BRACKETS.sub(" ", titles.get(truth, "")).split()
        middle = (len(words) + 1) // 2
        beginning = [*lines.question([], number[truth]), *encoder.plain(" " + " ".join(words[:middle]))]
        texts["title"].append((beginning, " ".join(words[middle:])))
        shown = [number[item] for item in source if item in titles]
        if len(shown) > 1:
            earlier = lines.question(shown[-NEWEST - 1 : -1], shown[-1])
            texts["history"].append((earlier, titles[lines.catalogue.vocabulary.item_ids[shown[-1] - 1]]))
        had = [*shown, *(number[item] for item in target if item in titles)]
        texts["next"].append((lines.question(had[-NEWEST:], number[truth]), titles.get(truth, "")))
    return {name: _probe(rows, generator(seed, "memory", name)) for name, rows in texts.items()}


def measure_memory(
    base: PinnedBase, records: pl.DataFrame, items: pl.DataFrame, domains: Domains, seed: int
) -> dict[str, dict[str, float]]:
    """Return the figures of all probes of a base."""
    tokenizer = load_tokenizer(base)
    encoder, lines = Encoder(tokenizer), build_lines(items, tokenizer, TITLE_TOKENS, domains)
    llm = load_base(base, "bf16").eval()
    return {name: memory(llm, encoder, probe) for name, probe in probes(records, items, lines, encoder, seed).items()}


def memory(llm: Any, encoder: Encoder, probe: Probe) -> dict[str, float]:
    """Return the share of truths that the base writes, that of the shuffled ones, and their sign test."""
    written = [plain_words(line) for line in continuations(llm, encoder, probe.prompts)]
    hits = np.array([line == plain_words(truth) for line, truth in zip(written, probe.truths, strict=True)])
    chance = np.array([line == plain_words(other) for line, other in zip(written, probe.controls, strict=True)])
    interval = stats.binomtest(int(hits.sum()), len(hits)).proportion_ci()
    one_sided = int((hits & ~chance).sum()), int((chance & ~hits).sum())
    test = stats.binomtest(one_sided[0], sum(one_sided)) if sum(one_sided) else None
    return {
        "n": len(hits),
        "share": round(float(hits.mean()), 6),
        "low": round(float(interval.low), 6),
        "high": round(float(interval.high), 6),
        "shuffled": round(float(chance.mean()), 6),
        "p": 1.0 if test is None else round(float(test.pvalue), 6),
    }


def continuations(llm: Any, encoder: Encoder, prompts: Sequence[Sequence[int]]) -> list[str]:
    """Return the rest of each text's last line, as the base writes it greedily."""
    ends = encoder.plain("\n")
    config = GenerationConfig(
        max_new_tokens=TITLE_TOKENS,
        do_sample=False,
        pad_token_id=encoder.pad,
        eos_token_id=sorted({*encoder.ends, *(ends if len(ends) == 1 else [])}),
    )
    texts = [""] * len(prompts)
    for batch in batches([len(prompt) + TITLE_TOKENS for prompt in prompts], BATCH_TOKENS):
        ids, mask = (each.to(llm.device) for each in pad_left([prompts[k] for k in batch], encoder.pad))
        with torch.inference_mode():
            out = llm.generate(input_ids=ids, attention_mask=mask, generation_config=config)
        for k, row in zip(batch, out[:, ids.shape[1] :].tolist(), strict=True):
            texts[k] = encoder.without_ends(encoder.text(row)).lstrip(" ").partition("\n")[0]
    return texts


def plain_words(text: str) -> str:
    """Return the words of a title in lower case, without marks and what stands in brackets."""
    return " ".join(re.findall(r"\w+", _BRACKETS.sub(" ", text).casefold()))


def _probe(rows: list[tuple[list[int], str]], rng: np.random.Generator) -> Probe:
    """Return a probe of the texts that go on in words, each text with a truth once; the control of a truth is the next
    one in a shuffled circle of the different truths."""
    kept = {(tuple(prompt), plain_words(truth)): truth for prompt, truth in rows if plain_words(truth)}
    truths = {words: truth for (_, words), truth in kept.items()}
    if len(truths) < 2:
        raise InputError(
            "the probe of memory needs two records whose items have titles, and not the same one: take data with titles"
        )
    circle = rng.permutation(list(truths)).tolist()
    following = dict(zip(circle, [*circle[1:], circle[0]], strict=True))
    controls = [truths[following[words]] for _, words in kept]
    return Probe([list(prompt) for prompt, _ in kept], list(kept.values()), controls)
