"""Colour, shape and dash of every method: fixed for all charts of a run, whichever methods a chart shows.

Learned methods take colours that differ under the common forms of colour blindness and have a contrast of 3:1 and more
on white and on the page's dark ground; baselines and bounds are greys, so that no reference looks like a result. Shapes
differ as well: nobody has to tell methods apart by colour alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Role = Literal["learned", "baseline", "bound"]  # a bound knows what no method may know: the world's tastes
COLOURS = ("#0078c8", "#d55e00", "#009e73", "#c767a5", "#a07a00", "#7a5cd6")
GREYS = {"baseline": ("#7d7d7d", "#949494"), "bound": ("#6e7b87", "#84909c")}
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")
SEQUENTIAL = "blues"  # one hue by lightness, for amounts


@dataclass(frozen=True)
class Method:
    """A method's id, what it is, and how charts draw it."""

    name: str
    role: Role
    colour: str
    shape: str

    @property
    def dash(self) -> tuple[int, ...]:
        """Dashes of its lines: solid for what was learned."""
        return {"learned": (1, 0), "baseline": (2, 3), "bound": (7, 4)}[self.role]


def methods(names: Sequence[str], roles: Mapping[str, Role]) -> list[Method]:
    """Return all methods of a run, learned ones in the order of `names`, then baselines, then bounds."""
    ordered = [(role, name) for role in ("learned", "baseline", "bound") for name in names if roles[name] == role]
    counts = dict.fromkeys(("learned", "baseline", "bound"), 0)
    drawn = []
    for role, name in ordered:
        colours: Sequence[str] = COLOURS if role == "learned" else GREYS[role]
        round_, place = divmod(counts[role], len(colours))
        shape = SHAPES[(place + round_) % len(SHAPES)]  # a colour that comes again has another shape
        drawn.append(Method(name, role, colours[place], shape))
        counts[role] += 1
    return drawn


def colour_scale(drawn: Sequence[Method]) -> dict[str, Any]:
    """Return the scale of a chart's colours by method."""
    return {"domain": [method.name for method in drawn], "range": [method.colour for method in drawn]}


def shape_scale(drawn: Sequence[Method]) -> dict[str, Any]:
    """Return the scale of a chart's shapes by method."""
    return {"domain": [method.name for method in drawn], "range": [method.shape for method in drawn]}


def dash_scale(drawn: Sequence[Method]) -> dict[str, Any]:
    """Return the scale of a chart's dashes by method."""
    return {"domain": [method.name for method in drawn], "range": [list(method.dash) for method in drawn]}
