"""AdamW that moves only the embeddings a batch looked up.

    m <- b1 m + (1 - b1) g,  v <- b2 v + (1 - b2) g^2,  w <- w - lr (c m / (sqrt(v / (1 - b2^t)) + eps) + decay w)
with c = 1 / (1 - b1^t) (Kingma and Ba 2015, decay as in Loshchilov and Hutter 2019). For a sparse gradient all of it
happens to its rows alone, t being the number of steps so far (as torch's SparseAdam does): a step costs what the batch
holds and not what the catalogue holds."""

import torch
from torch import nn
from torch.optim.adamw import adamw

BETAS, EPSILON = (0.9, 0.999), 1e-8


class RowAdamW(torch.optim.Optimizer):
    def __init__(self, model: nn.Module, lr: float, weight_decay: float) -> None:
        super().__init__(model.parameters(), {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """One step from the gradients that are there."""
        for group in self.param_groups:
            moved = [own for own in group["params"] if own.grad is not None]
            for own in moved:
                state = self.state[own]
                if not state:
                    state |= {"step": torch.zeros(()), "mean": torch.zeros_like(own), "square": torch.zeros_like(own)}
            self._whole([own for own in moved if not own.grad.is_sparse], group["lr"], group["weight_decay"])
            for own in moved:
                if own.grad.is_sparse:
                    _rows(own, self.state[own], group["lr"], group["weight_decay"])

    def _whole(self, moved: list[torch.Tensor], lr: float, decay: float) -> None:
        states = [self.state[own] for own in moved]
        adamw(
            moved,
            [own.grad for own in moved if own.grad is not None],
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


def _rows(own: torch.Tensor, state: dict[str, torch.Tensor], lr: float, decay: float) -> None:
    assert own.grad is not None
    gradient = own.grad.coalesce()
    rows, slope = gradient.indices()[0], gradient.values()
    mean = state["mean"].index_select(0, rows).lerp_(slope, 1 - BETAS[0])
    square = state["square"].index_select(0, rows).lerp_(slope.square(), 1 - BETAS[1])
    state["mean"].index_copy_(0, rows, mean)
    state["square"].index_copy_(0, rows, square)
    state["step"] += 1
    step = float(state["step"])
    spread = square.div_(1 - BETAS[1] ** step).sqrt_().add_(EPSILON)
    moved = own.index_select(0, rows).mul_(1 - lr * decay).addcdiv_(mean, spread, value=-lr / (1 - BETAS[0] ** step))
    own.index_copy_(0, rows, moved)
