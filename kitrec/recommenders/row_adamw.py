"""AdamW that updates only the embedding rows a batch looked up.

    m <- b1 m + (1 - b1) g,  v <- b2 v + (1 - b2) g^2,  w <- w - lr (c m / (sqrt(v / (1 - b2^t)) + eps) + decay w)
with c = 1 / (1 - b1^t) (Kingma and Ba 2015, decay as in Loshchilov and Hutter 2019). A sparse gradient updates its rows
alone, t being the number of steps so far (as in torch's SparseAdam): the cost of a step depends on the batch and not on
the catalogue."""

import torch
from torch import nn
from torch.optim.adamw import adamw

BETAS, EPSILON = (0.9, 0.999), 1e-8


class RowAdamW(torch.optim.Optimizer):
    def __init__(self, model: nn.Module, lr: float, weight_decay: float) -> None:
        super().__init__(model.parameters(), {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """Update all parameters that have a gradient."""
        for group in self.param_groups:
            updated = [parameter for parameter in group["params"] if parameter.grad is not None]
            for parameter in updated:
                if not self.state[parameter]:
                    zeros = {"mean": torch.zeros_like(parameter), "square": torch.zeros_like(parameter)}
                    self.state[parameter] |= {"step": torch.zeros(()), **zeros}
                if not parameter.grad.is_sparse:  # the fused kernel counts on the device; a checkpoint's count is not
                    self.state[parameter]["step"] = self.state[parameter]["step"].to(parameter.device)
            dense = [parameter for parameter in updated if not parameter.grad.is_sparse]
            self._dense_step(dense, group["lr"], group["weight_decay"])
            for parameter in updated:
                if parameter.grad.is_sparse:
                    _row_step(parameter, self.state[parameter], group["lr"], group["weight_decay"])

    def _dense_step(self, parameters: list[torch.Tensor], lr: float, decay: float) -> None:
        states = [self.state[parameter] for parameter in parameters]
        adamw(
            parameters,
            [parameter.grad for parameter in parameters if parameter.grad is not None],
            [state["mean"] for state in states],
            [state["square"] for state in states],
            [],
            [state["step"] for state in states],
            fused=True,
            amsgrad=False,
            beta1=BETAS[0],
            beta2=BETAS[1],
            lr=lr,
            weight_decay=decay,
            eps=EPSILON,
            maximize=False,
        )


def _row_step(parameter: torch.Tensor, state: dict[str, torch.Tensor], lr: float, decay: float) -> None:
    assert parameter.grad is not None
    gradient = parameter.grad.coalesce()
    rows, slope = gradient.indices()[0], gradient.values()
    mean = state["mean"].index_select(0, rows).lerp_(slope, 1 - BETAS[0])
    square = state["square"].index_select(0, rows).lerp_(slope.square(), 1 - BETAS[1])
    state["mean"].index_copy_(0, rows, mean)
    state["square"].index_copy_(0, rows, square)
    state["step"] += 1
    step = float(state["step"])
    spread = square.div_(1 - BETAS[1] ** step).sqrt_().add_(EPSILON)
    updated = parameter.index_select(0, rows).mul_(1 - lr * decay)
    updated = updated.addcdiv_(mean, spread, value=-lr / (1 - BETAS[0] ** step))
    parameter.index_copy_(0, rows, updated)
