"""Where the tiny base starts: attention that already looks somewhere, because a random start of this size finds the
circuits it needs too late (docs/log.md). All weights stay trainable, and Qwen3's form is untouched.

The heads begin as what trained language models are known to grow (Elhage et al. 2021; Olsson et al. 2022, induction
heads), laid out for KitREC's prompt:
  layer 0  previous token -> PREVIOUS; the id whose line this is -> LINE; themes 2 and 4 tokens back -> THEME
  layer 1  themes of the history -> THEME; themes 6 tokens back -> THEME; two induction heads
  layer 2  candidates whose themes match -> their id (two heads); two heads free
  layer 3  themes just named, negative (do not repeat); candidates whose themes match -> their id; one head free
Free heads have equal queries and keys (Trockman and Kolter 2023, mimetic initialisation). MLPs start small and random:
what to write when, what counts how much, is learned.

x: residual stream [hidden], in the parts below. SCALE: an embedding's component of size 1 in units of x."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from transformers import PreTrainedTokenizerFast, Qwen3ForCausalLM

from kitrec.tinybase.circuits import OTHER_FLAG, STILL, Head
from kitrec.tinybase.tokenizer import words_of_kind

CONST = 0
FLAGS = {"theme": 1, "first": 2, "second": 3, "word": 4, "bare": 5, "rating": 6, "furniture": 7}
LISTED = 8  # written by layer 0: this token stands behind an id, in its line
THEME = range(12, 57)
OTHER = range(57, 102)  # which word or symbol it is, unless a theme
PREVIOUS = range(102, 147)
LINE = range(147, 192)
WIDTH, LAYERS, HEADS, HEAD_WIDTH = 192, 4, 4, 64  # a width of whole blocks of NF4, which are 64 weights
ROPE_THETA = 1e9  # above Qwen3's 1e6: heads half as wide need pairs that stand still, too

SCALE = 0.25
CONST_SIZE, FLAG_SIZE, IDENTITY = 6.0, 4.0, 6.0
FURNITURE = 0.5  # furniture has short identities, or it drowns words in every match
NOISE = 0.004
SPREADING, SHARPNESS = 100, 20.0
GAIN = 8.0  # query-norm weights
COPY = SCALE * 0.75  # an embedding's root mean square: what RMSNorm has divided by is multiplied again
Purpose = Callable[[Head], None]


@torch.no_grad()
def give_structure(model: Qwen3ForCausalLM, tokenizer: PreTrainedTokenizerFast, seed: int) -> None:
    """Set attention and embeddings to their start."""
    draw = torch.Generator().manual_seed(seed)
    _embed(model.model.embed_tokens.weight, tokenizer, draw)
    for number, layer in enumerate(model.model.layers):
        attention = layer.self_attn
        attention.q_norm.weight.fill_(GAIN)
        for weight in (attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj):
            weight.weight.normal_(0, NOISE, generator=draw)
        for index in range(model.config.num_attention_heads):
            rows = slice(index * attention.head_dim, (index + 1) * attention.head_dim)
            head = Head(
                attention.q_proj.weight[rows],
                attention.k_proj.weight[rows],
                attention.v_proj.weight[rows],
                attention.o_proj.weight[:, rows],
                ROPE_THETA,
                draw,
            )
            PLAN.get((number, index), _free)(head)


def _look_back(distance: int, strength: float) -> Purpose:
    """Themes some tokens back."""

    def give(head: Head) -> None:
        head.look_back(distance, CONST, [CONST])
        head.copy([THEME], THEME, strength * COPY)

    return give


def _previous(head: Head) -> None:
    """What the token before is."""
    head.look_back(1, CONST, [CONST])
    head.copy([THEME, OTHER], PREVIOUS, COPY)


def _line(head: Head) -> None:
    """The last id before, if it is near."""
    head.prefer_recent(CONST, 1.0)
    head.prefer(
        [CONST], {FLAGS["first"]: 0.75 * CONST_SIZE / FLAG_SIZE}, 0.75
    )  # an id near by beats the token itself, and that a far id
    head.copy([OTHER], LINE, COPY)
    head.copy_flag(FLAGS["first"], LISTED, COPY)


def _history(head: Head) -> None:
    """All themes that stand in no list, into furniture; other tokens look at furniture, which has next to none."""
    others = [column for kind, column in FLAGS.items() if kind != "furniture"]
    head.prefer([FLAGS["furniture"]], {FLAGS["theme"]: 1.5, LISTED: -3.0}, 1.5)
    head.prefer(others, {FLAGS["furniture"]: 1.5}, 1.5, OTHER_FLAG)
    head.copy([THEME], THEME, 2.0 * COPY)


def _induction(part: range) -> Purpose:
    """What stood behind the same token in the line of the same id."""

    def give(head: Head) -> None:
        head.match([THEME, OTHER], [PREVIOUS], STILL[:10])
        head.match([LINE], [LINE], STILL[10:])
        head.copy([part], part, COPY)

    return give


def _not_again(distance: int) -> Purpose:
    """The theme before the token some tokens back, negative."""

    def give(head: Head) -> None:
        head.look_back(distance, CONST, [CONST])
        head.copy([PREVIOUS], THEME, -2.5 * COPY)

    return give


def _choose(head: Head) -> None:
    """The id of lines whose themes are the own ones."""
    head.match([THEME], [THEME], STILL)
    head.prefer([CONST], {CONST: -3.0, FLAGS["theme"]: 3.0, LISTED: 3.0}, 2.0)
    head.copy([LINE], OTHER, 3.0 * COPY)


def _free(head: Head) -> None:
    """Whatever is alike."""
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
    (3, 0): _not_again(0),
    (3, 1): _not_again(2),
    (3, 2): _choose,
}
CHOOSING = tuple(place for place, purpose in PLAN.items() if purpose is _choose)


def _embed(weight: torch.Tensor, tokenizer: PreTrainedTokenizerFast, draw: torch.Generator) -> None:
    kinds = {name: _tokens(tokenizer, words) for name, words in words_of_kind().items()}
    kinds["furniture"] = sorted({*range(weight.shape[0])}.difference(*kinds.values()))
    weight.normal_(0, NOISE, generator=draw)
    weight[:, CONST] = SCALE * CONST_SIZE
    for name, tokens in kinds.items():
        own = THEME if name == "theme" else OTHER
        size = IDENTITY * (FURNITURE if name == "furniture" else 1.0)
        weight[tokens, own.start : own.stop] += SCALE * size * _spread(len(tokens), len(own), draw)
        weight[tokens, FLAGS[name]] += SCALE * FLAG_SIZE
    spaced = _tokens(tokenizer, [f" {word}" for word in words_of_kind()["bare"]])
    weight[kinds["bare"], OTHER.start : OTHER.stop] = weight[spaced, OTHER.start : OTHER.stop]


@torch.enable_grad()
def _spread(count: int, width: int, draw: torch.Generator) -> torch.Tensor:
    """`count` unit vectors [count, width], pushed apart: a mixture of some must not look like another one."""
    free = torch.randn(count, width, generator=draw).requires_grad_()
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
