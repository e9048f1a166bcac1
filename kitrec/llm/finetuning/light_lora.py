"""LoRA layers on a processor, in one number format and with few operations; on a GPU PEFT's own layers stay.

    y = x W^T + s (x * m) A^T B^T,   s = alpha / (r (1 - p)),   m ~ Bernoulli(1 - p); evaluation: m = 1, p = 0
    dL/dx = g W + (s g B A) * m,   dL/dA = s (g B)^T (x * m),   dL/dB = s g^T ((x * m) A^T)
(LoRA: arXiv 2106.09685, eq. 3.) The formula is PEFT's; what PEFT does besides is left out: NF4 weights are dequantised
once where they are small and not twice a step, nothing goes from bf16 to float32 and back, and m takes 16 random bits a
value. Shapes: N rows, x [N, in], W [out, in], A [r, in], B [out, r]."""

from collections.abc import Callable
from types import MethodType
from typing import Any

import torch
import torch.nn.functional as F
from peft.tuners.lora import LoraLayer

from kitrec.llm.base.causal_attention import use_causal_blocks
from kitrec.llm.base.frozen_norms import use_frozen_norms

KEPT_WEIGHTS = 32 * 2**20  # of linear layers: up to here all are kept dequantised (64 MiB), above one at a time
_LEVELS = 2**16
Weight = Callable[[], torch.Tensor]


def use_light_layers(model: Any) -> None:
    """Let a model with LoRA on a frozen base compute by this file, causal_attention.py and frozen_norms.py."""
    if model.device.type != "cpu":
        return
    use_causal_blocks(model)
    use_frozen_norms(model)
    layers = [layer for layer in model.modules() if _is_plain(layer)]
    kept = sum(layer.in_features * layer.out_features for layer in layers) <= KEPT_WEIGHTS
    for layer in layers:
        base = layer.get_base_layer()
        layer.forward = MethodType(_forward_with(_frozen_weight(base, kept=kept), _compute_dtype(base)), layer)


def dropout_mask(like: torch.Tensor, p: float) -> torch.Tensor:
    """Return zeros with probability p (to 1 in 65,536) and ones, of the shape and format of a tensor."""
    draws = torch.empty((like.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None).view(torch.int16)
    return (draws[: like.numel()].view(like.shape) >= round(p * _LEVELS) - _LEVELS // 2).to(like.dtype)


def _is_plain(layer: Any) -> bool:
    """Whether a layer is LoRA on linear weights of floats or in 4 bits, with nothing besides."""
    if not isinstance(layer, LoraLayer) or not isinstance(base := layer.get_base_layer(), torch.nn.Linear):
        return False
    known = base.weight.is_floating_point() or getattr(base.weight, "quant_state", None) is not None
    return known and base.bias is None and not layer.lora_variant and not any(layer.lora_bias.values())


def _compute_dtype(base: Any) -> torch.dtype:
    dtype: torch.dtype = getattr(base, "compute_dtype", None) or base.weight.dtype
    return dtype


def _frozen_weight(base: Any, *, kept: bool) -> Weight:
    """Return a function that returns the frozen weight [out, in] in the format it is multiplied in."""
    state = getattr(base.weight, "quant_state", None)
    if state is None:
        return lambda: base.weight

    def dequantised() -> torch.Tensor:
        from bitsandbytes.functional import dequantize_4bit  # only where weights are quantised

        weight: torch.Tensor = dequantize_4bit(base.weight.data, state).to(_compute_dtype(base))
        return weight

    if not kept:
        return dequantised
    weight = dequantised()
    return lambda: weight


def _forward_with(weight: Weight, dtype: torch.dtype) -> Callable[..., torch.Tensor]:
    def forward(self: Any, x: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        names = [] if self.disable_adapters else [name for name in self.active_adapters if name in self.lora_A]
        rows = x.reshape(-1, x.shape[-1]).to(dtype)
        with torch.autocast("cpu", enabled=False):
            if not names:
                y = F.linear(rows, weight())
            for name in names:
                update = _LoraProduct.apply(rows, *_parts(self, name, rows), weight if name == names[0] else None)
                y = update if name == names[0] else y + update
        return y.view(*x.shape[:-1], -1)

    return forward


def _parts(layer: Any, name: str, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None, float]:
    """Return A, B, the mask (None outside of training) and s of an adapter."""
    p = float(getattr(layer.lora_dropout[name], "p", 0.0)) if layer.training else 0.0
    mask = dropout_mask(x, p) if p else None
    return layer.lora_A[name].weight, layer.lora_B[name].weight, mask, layer.scaling[name] / (1 - p)


class _LoraProduct(torch.autograd.Function):
    """The frozen product, unless `weight` is None, plus the update of one adapter."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        a: torch.Tensor,
        b: torch.Tensor,
        mask: torch.Tensor | None,
        scale: float,
        weight: Weight | None,
    ) -> torch.Tensor:
        a, b = a.to(x.dtype), (b * scale).to(x.dtype)
        kept = x if mask is None else x * mask
        inner = kept @ a.T
        ctx.save_for_backward(kept, mask, inner, a, b)
        ctx.scale, ctx.weight = scale, weight
        return inner @ b.T if weight is None else torch.addmm(x @ weight().T, inner, b.T)

    @staticmethod
    def backward(ctx: Any, *upstream: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        kept, mask, inner, a, b = ctx.saved_tensors
        (above,) = upstream
        of_inner = above @ b  # with the scale, which b holds
        of_x = None
        if ctx.needs_input_grad[0]:  # the first layer's input is frozen
            of_x = of_inner @ a
            of_x = of_x if mask is None else of_x.mul_(mask)
            of_x = of_x if ctx.weight is None else of_x.addmm_(above, ctx.weight())
        of_a, of_b = (of_inner.T @ kept).float(), (above.T @ inner).float().mul_(ctx.scale)
        return of_x, of_a, of_b, None, None, None
