"""The names everything shares: domains, user types and the model each user belongs to (docs/specification/data.md)."""

from dataclasses import dataclass

SOURCE = "books"
TARGETS = ("movies", "music")
LABELS = {"books": "Books", "movies": "Movies & TV", "music": "Music"}
SETS = ("A", "B")


@dataclass(frozen=True)
class UserType:
    """One of the ten kinds of users; counts of target interactions include the held-out one."""

    name: str
    category: str
    target: str
    fewest: int
    most: int | None
    other_target_empty: bool

    @property
    def model(self) -> str:
        """The fine-tuned model that serves the type: `singleft` for 1-core users, `dualft` for all others."""
        return f"{'singleft' if self.category == 'source_only' else 'dualft'}-{self.target}"


def _types_of(target: str) -> list[UserType]:
    cold = [UserType(f"cold_start_{n}core_{target}", "cold_start", target, n, n, True) for n in (4, 3, 2)]
    overlapping = UserType(f"overlapping_books_{target}", "overlapping", target, 5, None, False)
    return [overlapping, *cold, UserType(f"source_only_{target}", "source_only", target, 1, 1, True)]


USER_TYPES = {kind.name: kind for target in TARGETS for kind in _types_of(target)}
MODELS = tuple(dict.fromkeys(kind.model for kind in USER_TYPES.values()))
CORES = ("1", "2", "3", "4", "5-9", "10+")


def core_label(target_interactions: int) -> str:
    """The stratum of a user with so many target interactions, the held-out one included."""
    if target_interactions < 5:
        return str(target_interactions)
    return "5-9" if target_interactions < 10 else "10+"
