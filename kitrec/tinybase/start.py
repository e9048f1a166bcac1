"""Where the tiny base starts: attention that already looks somewhere, because a random start of this size finds the
circuits it needs too late (docs/log.md). All weights stay trainable, and Qwen3's form is untouched.

The layers begin as what trained language models are known to grow (Olsson et al. 2022, induction heads):
* layers 0, 1, local heads. Head h looks d_h tokens back: key k, query R(-d_h) k, both read from a component that all
  embeddings share, so that q·R(j-i)k is largest at j = i - d_h (R: RoPE's rotation; the fastest pairs carry k).
* layers 2.., matching heads. W_q = W_k (Trockman and Kolter 2023, mimetic initialisation), on the pairs that turn so
  slowly that distance does not blur content; faster pairs carry -k against k and push away the token itself and its
  near neighbours, which are always the best match of all.
* values and outputs. W_o = b W_v^T: what is looked at is added as it is, in the coordinates of the embeddings.
* embeddings. A token's vector is shorter the more frequent it is, or else furniture drowns words in every match.

x: residual stream [hidden]; x_0: the shared component; hd: head width; f_p = theta^(-2p/hd), p = 0..hd/2-1."""

import numpy as np
import torch
from transformers import Qwen3ForCausalLM

OFFSETS = ((1, 2, 3, 4), (2, 4, 6, 8))  # tokens that the local heads of layers 0 and 1 look back
FAST = 6  # pairs p < FAST tell neighbours apart
MIDDLE = (6, 10)  # pairs that push away what is near
SLOW = 14  # pairs p >= SLOW carry content
LOCAL_GAIN, MATCH_GAIN = 4.0, 2.0  # query-norm weights: Qwen3 caps logits at gain x sqrt(hd)
LOCAL_COPY, MATCH_COPY = 0.12, 0.25  # b above
WIDTH = 0.09  # standard deviation of an embedding's components
SHARED = 8.0  # x_0 of every embedding, in units of WIDTH
PUSH = 1.6
NOISE = 0.01
RARE = 0.001  # tokens below this share of the text keep their full length
SHORTEST = 0.1


@torch.no_grad()
def give_structure(model: Qwen3ForCausalLM, frequency: np.ndarray, theta: float, seed: int) -> None:
    """Set attention and embeddings to their start; `frequency` is each token's share of the text, `theta` RoPE's."""
    draw = torch.Generator().manual_seed(seed)
    _embed(model, torch.from_numpy(frequency).float(), draw)
    for number, layer in enumerate(model.model.layers):
        attention, local = layer.self_attn, number < len(OFFSETS)
        attention.q_norm.weight.fill_(LOCAL_GAIN if local else MATCH_GAIN)
        for weight in (attention.q_proj.weight, attention.k_proj.weight):
            weight.normal_(0, NOISE, generator=draw)
        for head in range(model.config.num_attention_heads):
            rows = slice(head * attention.head_dim, (head + 1) * attention.head_dim)
            query, key = attention.q_proj.weight[rows], attention.k_proj.weight[rows]
            if local:
                _look_back(query, key, OFFSETS[number][head], theta)
            else:
                _match(query, key, draw)
            value, output = attention.v_proj.weight[rows], attention.o_proj.weight[:, rows]
            _copy(value, output, LOCAL_COPY if local else MATCH_COPY, draw)


def _embed(model: Qwen3ForCausalLM, frequency: torch.Tensor, draw: torch.Generator) -> None:
    weight = model.model.embed_tokens.weight
    weight.normal_(0, WIDTH, generator=draw)
    weight[:, 0] = SHARED * WIDTH
    length = (RARE / frequency.clamp(min=1e-9)).sqrt().clamp(SHORTEST, 1.0)
    weight[: len(length), 1:] *= length[:, None]


def _look_back(query: torch.Tensor, key: torch.Tensor, distance: int, theta: float) -> None:
    half = query.shape[0] // 2
    angle = distance * theta ** (-torch.arange(FAST) / half)
    key[:FAST, 0] += 1.0
    query[:FAST, 0] += torch.cos(angle)
    query[half : half + FAST, 0] -= torch.sin(angle)


def _match(query: torch.Tensor, key: torch.Tensor, draw: torch.Generator) -> None:
    half = query.shape[0] // 2
    slow = [*range(SLOW, half), *range(half + SLOW, 2 * half)]
    content = _orthonormal(len(slow), query.shape[1] - 1, draw)
    query[slow, 1:] += content
    key[slow, 1:] += content
    push = PUSH / (MIDDLE[1] - MIDDLE[0]) ** 0.5
    query[slice(*MIDDLE), 0] -= push
    key[slice(*MIDDLE), 0] += push


def _copy(value: torch.Tensor, output: torch.Tensor, strength: float, draw: torch.Generator) -> None:
    read = torch.zeros_like(value)
    read[:, 1:] = _orthonormal(value.shape[0], value.shape[1] - 1, draw)
    value.copy_(read + NOISE * torch.randn(value.shape, generator=draw))
    output.copy_(strength * read.T + NOISE * torch.randn(output.shape, generator=draw))


def _orthonormal(rows: int, columns: int, draw: torch.Generator) -> torch.Tensor:
    return torch.linalg.qr(torch.randn(columns, rows, generator=draw))[0].T
