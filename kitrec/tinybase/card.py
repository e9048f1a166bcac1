"""Model card of the tiny base: description, training and intended use."""

from collections.abc import Mapping

from kitrec.tinybase.initial_heads import HEAD_WIDTH, HEADS, LAYERS, WIDTH
from kitrec.tinybase.params import TinyBase

_CARD = """---
library_name: transformers
tags: [qwen3, recommendation, synthetic]
---

# tiny-qwen3, the base model of kitrec's synthetic world

Qwen3's architecture in miniature: {layers} layers, width {width}, {heads} heads of {head_width}, {parameters:,}
parameters, a vocabulary of {vocabulary:,}; chat template and thinking tokens as Qwen3's. It reads KitREC's prompt,
weighs the candidates against the history by the words they share, and answers with an id, with or without a thought.

**Start.** Its attention heads begin with a purpose (`kitrec/tinybase/initial_heads.py`): what a candidate's line
says, what a history returns to, which line shares it. MLPs begin random.

**Training.** {tokens:,} tokens in {steps:,} steps, from that start, on synthetic rehearsal worlds only: other seeds,
other titles, and one vocabulary for all domains. It has never seen a cross-domain map, nor a title or record of any
experiment. Seed {seed}. Made by the stage `build_base` (`params.yaml`, section `tiny_base`); curves:
`plots/base`.

**At the end of training** (mean of the last steps): loss on whole prompts {loss:.3f}, right choices in thoughts
{right_choice:.3f}. Measured on worlds it never saw: `docs/benchmarks.md`, section
*reading*.

**Not for use** outside kitrec: it knows some hundred words and no language.
"""


def model_card(
    p: TinyBase, seed: int, parameters: int, vocabulary: int, tokens: int, final_metrics: Mapping[str, float]
) -> str:
    """Return the card as markdown; `final_metrics` are loss and right_choice on whole prompts."""
    return _CARD.format(
        layers=LAYERS,
        width=WIDTH,
        heads=HEADS,
        head_width=HEAD_WIDTH,
        steps=p.steps,
        seed=seed,
        parameters=parameters,
        vocabulary=vocabulary,
        tokens=tokens,
        **final_metrics,
    )
