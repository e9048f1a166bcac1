"""Names shared by all packages: domains, user types, and the model of each type (docs/specification/data.md)."""

from dataclasses import dataclass

SOURCE = "books"
TARGETS = ("movies", "music")
LABELS = {"books": "Books", "movies": "Movies & TV", "music": "Music"}
SETS = ("A", "B")


@dataclass(frozen=True)
class UserType:
    """One of the ten user types; counts of target interactions include the held-out one."""

    name: str
    category: str
    target: str
    min_target_items: int
    max_target_items: int | None
    other_target_empty: bool

    @property
    def model(self) -> str:
        """Name of the fine-tuned model that serves the type: `singleft` for 1-core users, `dualft` for all others."""
        return f"{'singleft' if self.category == 'source_only' else 'dualft'}-{self.target}"


def _user_types(target: str) -> list[UserType]:
    cold = [UserType(f"cold_start_{n}core_{target}", "cold_start", target, n, n, True) for n in (4, 3, 2)]
    overlapping = UserType(f"overlapping_books_{target}", "overlapping", target, 5, None, False)
    return [overlapping, *cold, UserType(f"source_only_{target}", "source_only", target, 1, 1, True)]


USER_TYPES = {user_type.name: user_type for target in TARGETS for user_type in _user_types(target)}
MODELS = tuple(dict.fromkeys(user_type.model for user_type in USER_TYPES.values()))
CORES = ("1", "2", "3", "4", "5-9", "10+")


def core_label(target_interactions: int) -> str:
    """Return the core stratum for a number of target interactions, the held-out one included."""
    if target_interactions < 5:
        return str(target_interactions)
    return "5-9" if target_interactions < 10 else "10+"
