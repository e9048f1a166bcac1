"""Section `domains` of params.yaml: names of the source and target domains, the user types that follow from them, and
the model of each type (docs/specification/data.md)."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

from pydantic import Field

from kitrec.core.params import rules, section

SETS = ("A", "B")
CORES = ("1", "2", "3", "4", "5-9", "10+")
CATEGORIES = ("overlapping", "cold_start", "source_only")
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*$")]  # part of names of files, models and user types


@dataclass(frozen=True)
class UserType:
    """A kind of user; counts of target interactions include the held-out one."""

    name: str
    category: str
    source: str
    target: str
    min_target_items: int
    max_target_items: int | None
    other_target_empty: bool

    @property
    def model(self) -> str:
        """Name of the fine-tuned model that serves the type."""
        return model_of(self.category, self.target)


@section
class Domains:
    """A source domain, one or two targets, and what prompts call them."""

    source: Name
    targets: Annotated[tuple[Name, ...], Field(min_length=1, max_length=2)]
    labels: dict[Name, Annotated[str, Field(min_length=1)]]

    def __post_init__(self) -> None:
        require, done = rules()
        require(len(set(self.names)) == len(self.names), f"a domain is named twice: {', '.join(self.names)}")
        missing = [name for name in self.names if name not in self.labels]
        require(not missing, f"labels: {', '.join(missing)} missing; every domain has one, which prompts show")
        done()

    @property
    def label(self) -> str:
        """What prompts call the source."""
        return self.labels[self.source]

    @property
    def names(self) -> tuple[str, ...]:
        """All domains, the source first."""
        return (self.source, *self.targets)

    @property
    def shown_labels(self) -> dict[str, str]:
        """The labels of these domains; the params may hold those of others."""
        return {name: self.labels[name] for name in self.names}

    @cached_property
    def user_types(self) -> dict[str, UserType]:
        """The five user types of every target, by name."""
        return {kind.name: kind for target in self.targets for kind in _user_types(self.source, target)}

    @cached_property
    def models(self) -> tuple[str, ...]:
        """The fine-tuned models: two per target."""
        return tuple(dict.fromkeys(kind.model for kind in self.user_types.values()))

    def types_of(self, model: str) -> list[str]:
        """Return the user types that a fine-tuned model serves."""
        return [name for name, kind in self.user_types.items() if kind.model == model]


def _user_types(source: str, target: str) -> list[UserType]:
    cold = [UserType(f"cold_start_{n}core_{target}", "cold_start", source, target, n, n, True) for n in (4, 3, 2)]
    overlapping = UserType(f"overlapping_{source}_{target}", "overlapping", source, target, 5, None, False)
    return [overlapping, *cold, UserType(f"source_only_{target}", "source_only", source, target, 1, 1, True)]


def model_of(category: str, target: str) -> str:
    """Return the fine-tuned model of a user category: `singleft` for 1-core users, `dualft` for all others."""
    return f"{'singleft' if category == 'source_only' else 'dualft'}-{target}"


def ordered_types(names: Iterable[str]) -> list[str]:
    """Return the user types in the order in which `Domains.user_types` has those of each target, targets by name."""

    def position(name: str) -> tuple[str, int, str]:
        kind, _, target = name.rpartition("_")
        category = next((k for k, prefix in enumerate(CATEGORIES) if kind.startswith(prefix)), len(CATEGORIES))
        return target, category, "".join(chr(255 - ord(letter)) for letter in kind)

    return sorted(set(names), key=position)


def core_label(target_interactions: int) -> str:
    """Return the core stratum for a number of target interactions, the held-out one included."""
    if target_interactions < 5:
        return str(target_interactions)
    return "5-9" if target_interactions < 10 else "10+"


# The domains of KitREC's files, of Amazon's raw files as they are read here, and of the synthetic worlds.
KITREC = Domains(
    source="books",
    targets=("movies", "music"),
    labels={"books": "Books", "movies": "Movies & TV", "music": "Music"},
)
