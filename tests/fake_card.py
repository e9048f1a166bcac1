"""A second device without a card: `card`, whose tensors hold real numbers in the machine's memory.

An operation on tensors of two devices is refused, as a GPU refuses it; all others compute what a CPU computes, so a
training on the card ends as one on the CPU. It takes PrivateUse1, the key that torch keeps for devices of others, for
the whole process: only programs that do nothing else may call `install` (tests/run_on_card.py)."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._mode_utils import no_dispatch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

NAME = "card"
BETWEEN_DEVICES = {"aten::copy_", "aten::_to_copy", "aten::_copy_from"}
# A GPU takes indices and shapes from the host.
HOST_INDICES = {"aten::index", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_"}


class CardTensor(torch.Tensor):
    """A tensor that says it is on the card."""

    held: torch.Tensor

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> "CardTensor":
        return torch.Tensor._make_wrapper_subclass(
            cls,
            held.size(),
            strides=None if held.layout != torch.strided else held.stride(),
            dtype=held.dtype,
            layout=held.layout,
            device=torch.device(NAME, 0),
        )

    def __init__(self, held: torch.Tensor) -> None:
        self.held = held

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return f"CardTensor({self.held!r})"

    def tolist(self) -> Any:
        """Return the values, as a tensor of any device does."""
        return self.cpu().tolist()

    @classmethod
    def __torch_dispatch__(cls, operation: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return compute(operation, args, kwargs or {})


class Card(TorchDispatchMode):
    """Within it, tensors can be created on the card and moved to it."""

    def __torch_dispatch__(self, operation: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return compute(operation, args, kwargs or {})


@contextmanager
def card() -> Iterator[torch.device]:
    """Let the block use the card."""
    before = torch._C._only_lift_cpu_tensors()
    torch._C._set_only_lift_cpu_tensors(True)  # torch.tensor(..., device=card) is a tensor of the host that is moved
    try:
        with Card():
            yield torch.device(NAME, 0)
    finally:
        torch._C._set_only_lift_cpu_tensors(before)


class Module:
    """What torch asks of a device's module (torch.card)."""

    is_available = staticmethod(lambda: False)
    is_initialized = staticmethod(lambda: True)
    device_count = staticmethod(lambda: 1)
    current_device = staticmethod(lambda: 0)
    _is_in_bad_fork = staticmethod(lambda: False)
    manual_seed_all = staticmethod(lambda _seed: None)
    get_rng_state = staticmethod(lambda _device=None: torch.get_rng_state())
    set_rng_state = staticmethod(lambda _state, _device=None: None)
    get_amp_supported_dtype = staticmethod(lambda: [torch.bfloat16])


def install() -> None:
    """Register the card in this process, before kitrec is imported."""
    _setup_privateuseone_for_python_backend(NAME, backend_module=Module())
    torch.inference_mode = torch.no_grad  # an inference tensor cannot hold another


def compute(operation: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Run an operation on the host, and say that its result is where its inputs are."""
    name = operation._schema.name
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
    on_card = [tensor for tensor in tensors if isinstance(tensor, CardTensor)]
    _refuse_two_devices(name, tensors, on_card)
    if name == "aten::set_" and isinstance(args[0], CardTensor):
        args[0].held = _held(args[1])
        return args[0]
    device = kwargs.get("device")
    to_card = bool(on_card) if device is None else torch.device(device).type == NAME
    if name == "aten::copy_":
        to_card = isinstance(args[0], CardTensor)
    options = {key: tree_map(_held, value) for key, value in kwargs.items()}
    if device is not None:
        options["device"] = torch.device("cpu")
    result = COMPUTED.get(name, operation)(*tree_map(_held, list(args)), **options)
    if torch.Tag.inplace_view in operation.tags and on_card:  # such as transpose_: of the shape that is said as well
        with no_dispatch():
            operation(*args, **kwargs)
    known = {id(tensor.held): tensor for tensor in on_card}

    def placed(value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return value
        if id(value) in known:  # an operation in place
            return known[id(value)]
        return CardTensor(value) if to_card else value

    return tree_map(placed, result)


def gru_cell(
    inputs: torch.Tensor,
    hidden: torch.Tensor,
    before: torch.Tensor,
    input_bias: torch.Tensor | None = None,
    hidden_bias: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute a step of a GRU from its gates, which torch leaves to a kernel of the device; and what backward needs."""
    inputs = inputs if input_bias is None else inputs + input_bias
    hidden = hidden if hidden_bias is None else hidden + hidden_bias
    (ir, iz, new), (hr, hz, hn) = inputs.chunk(3, 1), hidden.chunk(3, 1)
    reset, update = torch.sigmoid(ir + hr), torch.sigmoid(iz + hz)
    new = torch.tanh(new + reset * hn)
    return new + update * (before - new), torch.cat([reset, update, new, before, hn], dim=1)


def gru_cell_backward(slope: torch.Tensor, kept: torch.Tensor, has_bias: bool) -> tuple[torch.Tensor | None, ...]:
    """Compute the gradients of gates, hidden state and biases."""
    reset, update, new, before, hn = kept.chunk(5, 1)
    of_new = slope * (1 - update) * (1 - new * new)
    gates = [of_new * hn * reset * (1 - reset), slope * (before - new) * update * (1 - update), of_new]
    inputs, hidden = torch.cat(gates, dim=1), torch.cat([*gates[:2], of_new * reset], dim=1)
    biases = (inputs.sum(0), hidden.sum(0)) if has_bias else (None, None)
    return inputs, hidden, slope * update, *biases


COMPUTED = {"aten::_thnn_fused_gru_cell": gru_cell, "aten::_thnn_fused_gru_cell_backward": gru_cell_backward}


def _held(value: Any) -> Any:
    return value.held if isinstance(value, CardTensor) else value


def _refuse_two_devices(name: str, tensors: list[torch.Tensor], on_card: list[CardTensor]) -> None:
    if not on_card or name in BETWEEN_DEVICES:
        return
    host = [tensor for tensor in tensors if not isinstance(tensor, CardTensor)]
    if name in HOST_INDICES:
        host = [tensor for tensor in host if tensor.is_floating_point()]
    if "_fused_" not in name:  # these want their counters on the card as well
        host = [tensor for tensor in host if tensor.dim()]
    if host:
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in host)
        raise RuntimeError(f"{name}: expected all tensors to be on the same device, those of shape {shapes} are not")
