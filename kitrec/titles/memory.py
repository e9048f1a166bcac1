"""Does a base know a data set by heart? What it continues greedily; evaluation/memory.py says what of it is knowledge.

A base that read a benchmark in pre-training scores higher on it than elsewhere (Zhang et al., arXiv 2602.13626). Three
probes, each a plain text of lines as in lines.py that the base continues to the end of the line:
    title     the first half of a title without brackets     -> the other half
    history   the source items of a user but the newest one  -> the newest one
    next      all items of a user, no candidates shown       -> the held-out item
A text is continued once for each item that may follow it: greedy, a text that is repeated tells nothing new."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import polars as pl
import torch
from transformers import GenerationConfig

from kitrec.core import tables
from kitrec.core.domains import Domains
from kitrec.core.shards import compute_in_shards
from kitrec.llm.base.loading import load_base, load_tokenizer
from kitrec.llm.base.pinning import PinnedBase
from kitrec.llm.likelihood.shared_prefix import batches
from kitrec.prompts.tokens import Encoder
from kitrec.schemas.memory import MEMORY, PROBES, without_brackets
from kitrec.titles.lines import Lines, build_lines

TITLE_TOKENS = 64  # longest title, and longest continuation
NEWEST = 20  # items of a history that are shown
BATCH_TOKENS = 4096
SHARD = 200  # texts at most that a killed run repeats


@dataclass(frozen=True)
class Text:
    """What the base reads, as token ids, the item whose title would follow, and the words of it that are missing."""

    prompt: list[int]
    item_id: str
    truth: str


class TextBuilder:
    """Builds the texts of the probes from records; an item without a title is in none."""

    def __init__(self, items: pl.DataFrame, lines: Lines, encoder: Encoder) -> None:
        self._lines, self._encoder = lines, encoder
        self._titles = dict(items.drop_nulls("title").select("item_id", "title").iter_rows())
        self._numbers = dict(zip(lines.catalogue.vocabulary.item_ids, range(1, len(lines.catalogue) + 1), strict=True))

    def build(self, probe: str, records: pl.DataFrame) -> list[Text]:
        """Return the different texts of a probe, in the order of the records."""
        build = {"title": self._of_title, "history": self._of_history, "next": self._of_next}[probe]
        columns = records.select("source_items", "target_items", "gt_item_id").iter_rows()
        texts = [text for row in columns if (text := build(*row)) is not None]
        return list({(tuple(text.prompt), text.item_id): text for text in texts}.values())

    def _of_title(self, _source: Sequence[str], _target: Sequence[str], truth: str) -> Text | None:
        words = without_brackets(self._titles.get(truth, "")).split()
        middle = (len(words) + 1) // 2
        beginning = self._encoder.plain(" " + " ".join(words[:middle]))
        rest = " ".join(words[middle:])
        return Text([*self._lines.question([], self._numbers[truth]), *beginning], truth, rest) if rest else None

    def _of_history(self, source: Sequence[str], _target: Sequence[str], _truth: str) -> Text | None:
        shown = [item for item in source if item in self._titles]
        return self._following(shown[:-1], shown[-1]) if len(shown) > 1 else None

    def _of_next(self, source: Sequence[str], target: Sequence[str], truth: str) -> Text | None:
        return self._following([item for item in (*source, *target) if item in self._titles], truth)

    def _following(self, shown: Sequence[str], item: str) -> Text | None:
        history = [self._numbers[each] for each in shown[-NEWEST:]]
        title = self._titles.get(item)
        return Text(self._lines.question(history, self._numbers[item]), item, title) if title else None


def continued_lines(
    base: PinnedBase,
    records: Mapping[str, pl.DataFrame],
    items: pl.DataFrame,
    domains: Domains,
    *,
    work: Path,
    on_progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> pl.DataFrame:
    """Return the memory table of a base; `records` are those of each probe. Shards already in `work` are read."""
    tokenizer = load_tokenizer(base)
    encoder = Encoder(tokenizer)
    builder = TextBuilder(items, build_lines(items, tokenizer, TITLE_TOKENS, domains), encoder)
    texts = [(probe, text) for probe in PROBES for text in builder.build(probe, records[probe])]
    llm, done = load_base(base, "bf16").eval(), 0

    def shard(part: slice) -> pl.DataFrame:
        written = continuations(llm, encoder, [text.prompt for _, text in texts[part]])
        rows = [
            {
                "probe": probe,
                "text": sha256(" ".join(map(str, text.prompt)).encode()).hexdigest()[:16],
                "item_id": text.item_id,
                "truth": text.truth,
                "written": line,
            }
            for (probe, text), line in zip(texts[part], written, strict=True)
        ]
        return tables.from_rows(rows, MEMORY)

    def advance(count: int) -> None:
        nonlocal done
        on_progress(done := done + count, len(texts))

    return compute_in_shards(len(texts), SHARD, work, MEMORY, shard, advance)


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
        ids, mask = _padded([prompts[k] for k in batch], encoder.pad, llm.device)
        with torch.inference_mode():
            out = llm.generate(input_ids=ids, attention_mask=mask, generation_config=config)
        for k, row in zip(batch, out[:, ids.shape[1] :].tolist(), strict=True):
            texts[k] = encoder.without_ends(encoder.text(row)).lstrip(" ").partition("\n")[0]
    return texts


def _padded(rows: Sequence[Sequence[int]], pad: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ids and their mask, padded on the left."""
    width = max(map(len, rows))
    ids = torch.tensor([[*[pad] * (width - len(row)), *row] for row in rows], device=device)
    mask = torch.tensor([[*[0] * (width - len(row)), *[1] * len(row)] for row in rows], device=device)
    return ids, mask
