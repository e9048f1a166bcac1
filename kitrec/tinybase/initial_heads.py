"""Initialisation of the tiny base with functional attention heads: from a random initialisation, a model of this size
forms the circuits it needs too late (docs/log.md). All weights stay trainable, and the architecture is Qwen3's.

The heads start as circuits known from trained language models (Elhage et al. 2021; Olsson et al. 2022, induction
heads), laid out for KitREC's prompt:
  layer 0  previous token -> PREVIOUS; the id whose line this is -> LINE; themes 2 and 4 tokens back -> THEME
  layer 1  themes of the history -> THEME; themes 6 tokens back -> THEME; two induction heads
  layer 2  candidates whose themes match -> their id (two heads); two heads free
  layer 3  themes just named, negative (no repetition); candidates whose themes match -> their id; one head free
Free heads have equal queries and keys (Trockman and Kolter 2023, mimetic initialisation). MLPs start small and random:
what to write and how to weigh evidence is learned.

x: residual stream [hidden], in the parts below. SCALE: an embedding's component of size 1 in units of x."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from transformers import PreTrainedTokenizerFast, Qwen3ForCausalLM

from kitrec.tinybase.circuits import OTHER_FLAG, STILL, Head
from kitrec.tinybase.tokenizer import words_of_kind

CONST = 0
FLAGS = {"theme": 1, "first": 2, "second": 3, "word": 4, "bare": 5, "rating": 6, "furniture": 7}
LISTED = 8  # written by layer 0: the token follows an id on its line
THEME = range(12, 57)
OTHER = range(57, 102)  # identity of words and symbols other than themes
PREVIOUS = range(102, 147)
LINE = range(147, 192)
WIDTH, LAYERS, HEADS, HEAD_WIDTH = 192, 4, 4, 64  # multiples of NF4's block of 64 weights
ROPE_THETA = 1e9  # above Qwen3's 1e6: heads of half the width also need static pairs

SCALE = 0.25
CONST_SIZE, FLAG_SIZE, IDENTITY = 6.0, 4.0, 6.0
FURNITURE = 0.5  # short identities, or furniture dominates every match
NOISE = 0.004
SPREADING, SHARPNESS = 100, 20.0
GAIN = 8.0  # query-norm weights
COPY = SCALE * 0.75  # root mean square of embeddings, which undoes the division by RMSNorm
Purpose = Callable[[Head], None]


@torch.no_grad()
def initialise_heads(model: Qwen3ForCausalLM, tokenizer: PreTrainedTokenizerFast, seed: int) -> None:
    """Initialise attention weights and embeddings in place."""
    rng = torch.Generator().manual_seed(seed)
    _embed(model.model.embed_tokens.weight, tokenizer, rng)
    for number, layer in enumerate(model.model.layers):
        attention = layer.self_attn
        attention.q_norm.weight.fill_(GAIN)
        for weight in (attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj):
            weight.weight.normal_(0, NOISE, generator=rng)
        for index in range(model.config.num_attention_heads):
            rows = slice(index * attention.head_dim, (index + 1) * attention.head_dim)
            head = Head(
                attention.q_proj.weight[rows],
                attention.k_proj.weight[rows],
                attention.v_proj.weight[rows],
                attention.o_proj.weight[:, rows],
                ROPE_THETA,
                rng,
            )
            PLAN.get((number, index), _free)(head)


def _look_back(distance: int, strength: float) -> Purpose:
    """Copy the theme `distance` tokens back."""

    def set_weights(head: Head) -> None:
        head.look_back(distance, CONST, [CONST])
        head.copy([THEME], THEME, strength * COPY)

    return set_weights


def _previous(head: Head) -> None:
    """Copy the identity of the previous token."""
    head.look_back(1, CONST, [CONST])
    head.copy([THEME, OTHER], PREVIOUS, COPY)


def _line(head: Head) -> None:
    """Copy the last id before, if it is near."""
    head.prefer_recent(CONST, 1.0)
    # a nearby id outweighs the token itself, which outweighs a distant id
    head.prefer([CONST], {FLAGS["first"]: 0.75 * CONST_SIZE / FLAG_SIZE}, 0.75)
    head.copy([OTHER], LINE, COPY)
    head.copy_flag(FLAGS["first"], LISTED, COPY)


def _history(head: Head) -> None:
    """Copy all themes outside the list to furniture tokens; other tokens attend to furniture, which has hardly any."""
    others = [column for kind, column in FLAGS.items() if kind != "furniture"]
    head.prefer([FLAGS["furniture"]], {FLAGS["theme"]: 1.5, LISTED: -3.0}, 1.5)
    head.prefer(others, {FLAGS["furniture"]: 1.5}, 1.5, OTHER_FLAG)
    head.copy([THEME], THEME, 2.0 * COPY)


def _induction(part: range) -> Purpose:
    """Copy the token that followed the same token on the line of the same id."""

    def set_weights(head: Head) -> None:
        head.match([THEME, OTHER], [PREVIOUS], STILL[:10])
        head.match([LINE], [LINE], STILL[10:])
        head.copy([part], part, COPY)

    return set_weights


def _suppress_repeats(distance: int) -> Purpose:
    """Subtract the theme before the token `distance` tokens back."""

    def set_weights(head: Head) -> None:
        head.look_back(distance, CONST, [CONST])
        head.copy([PREVIOUS], THEME, -2.5 * COPY)

    return set_weights


def _choose(head: Head) -> None:
    """Copy the id of lines whose themes match."""
    head.match([THEME], [THEME], STILL)
    head.prefer([CONST], {CONST: -3.0, FLAGS["theme"]: 3.0, LISTED: 3.0}, 2.0)
    head.copy([LINE], OTHER, 3.0 * COPY)


def _free(head: Head) -> None:
    """Attend to similar tokens."""
    head.match([OTHER], [OTHER], STILL[:9], 0.5)
    head.match([THEME], [THEME], STILL[9:], 0.5)
    head.copy([OTHER], OTHER, 0.3 * COPY)


PLAN: dict[tuple[int, int], Purpose] = {
    (0, 0): _previous,
    (0, 1): _line,
    (0, 2): _look_back(2, 0.8),
    (0, 3): _look_back(4, 0.85),
    (1, 0): _history,
    (1, 1): _look_back(6, 1.0),
    (1, 2): _induction(OTHER),
    (1, 3): _induction(THEME),
    (2, 0): _choose,
    (2, 1): _choose,
    (3, 0): _suppress_repeats(0),
    (3, 1): _suppress_repeats(2),
    (3, 2): _choose,
}
CHOICE_HEADS = tuple(position for position, purpose in PLAN.items() if purpose is _choose)


def _embed(weight: torch.Tensor, tokenizer: PreTrainedTokenizerFast, rng: torch.Generator) -> None:
    kinds = {name: _tokens(tokenizer, words) for name, words in words_of_kind().items()}
    kinds["furniture"] = sorted({*range(weight.shape[0])}.difference(*kinds.values()))
    weight.normal_(0, NOISE, generator=rng)
    weight[:, CONST] = SCALE * CONST_SIZE
    for name, tokens in kinds.items():
        part = THEME if name == "theme" else OTHER
        size = IDENTITY * (FURNITURE if name == "furniture" else 1.0)
        weight[tokens, part.start : part.stop] += SCALE * size * _spread(len(tokens), len(part), rng)
        weight[tokens, FLAGS[name]] += SCALE * FLAG_SIZE
    spaced = _tokens(tokenizer, [f" {word}" for word in words_of_kind()["bare"]])
    weight[kinds["bare"], OTHER.start : OTHER.stop] = weight[spaced, OTHER.start : OTHER.stop]


@torch.enable_grad()
def _spread(count: int, width: int, rng: torch.Generator) -> torch.Tensor:
    """Return `count` unit vectors [count, width], pushed apart so that no mixture of some resembles another one."""
    free = torch.randn(count, width, generator=rng).requires_grad_()
    optimizer = torch.optim.Adam([free], lr=0.02)
    for _ in range(SPREADING):
        unit = F.normalize(free, dim=1)
        alike = (unit @ unit.T).fill_diagonal_(-1.0)
        loss = torch.logsumexp(SHARPNESS * alike, dim=1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return F.normalize(free.detach(), dim=1)


def _tokens(tokenizer: PreTrainedTokenizerFast, words: list[str]) -> list[int]:
    ids = tokenizer(words, add_special_tokens=False)["input_ids"]
    return [token for (token,) in ids]
