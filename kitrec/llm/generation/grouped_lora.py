"""LoRA on vLLM's CPU engine, one matrix product per adapter in the batch.

vLLM's CPU build copies an adapter's matrices for every *token* (B A x by einsum over gathered weights), which makes
serving with adapters many times slower than without. Here the tokens of one adapter are multiplied together:
    y[rows of l] += scale * (x[rows of l] A_l^T) B_l^T
Tokens of base requests (index -1) stay unchanged; the stock code adapts them by the last adapter if no slot is free.

It reaches vLLM through an extension point of vLLM: `vllm.platform_plugins` in pyproject.toml (cpu_platform.py).
Shapes: T tokens, r rank, slices of one fused projection (q, k, v) side by side in y."""

from typing import Any

import torch
from vllm.lora.punica_wrapper.punica_cpu import PunicaWrapperCPU


class GroupedLora(PunicaWrapperCPU):
    """PunicaWrapperCPU whose linear layers work adapter by adapter."""

    def _update_base_metadata(self, *args: Any, **kwargs: Any) -> None:
        super()._update_base_metadata(*args, **kwargs)
        indices = self.token_lora_indices
        self._groups = [(int(lora), (indices == lora).nonzero()[:, 0]) for lora in indices.unique() if lora >= 0]

    def add_lora_linear(
        self,
        y: torch.Tensor,
        x: torch.Tensor,
        lora_a_stacked: tuple[torch.Tensor, ...],
        lora_b_stacked: tuple[torch.Tensor, ...],
        scale: float,
        output_slices: tuple[int, ...],
        **_: Any,
    ) -> None:
        """Add the LoRA of every token to y [T, out]; A is stacked [adapters, 1, r, in], B is [adapters, 1, out, r]."""
        x, y = x.view(-1, x.shape[-1]), y.view(-1, y.shape[-1])
        for lora, rows in self._groups:
            all_rows = len(rows) == len(x)
            inputs = x if all_rows else x[rows]
            left = 0
            for a, b, width in zip(lora_a_stacked, lora_b_stacked, output_slices, strict=True):
                update = (inputs.float() @ a[lora, 0].float().T * scale).to(y.dtype) @ b[lora, 0].T.to(y.dtype)
                if all_rows:
                    y[:, left : left + width] += update
                else:
                    y[rows, left : left + width] += update
                left += width
