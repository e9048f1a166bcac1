"""Names that a user types: what a wrong one should have been, and refusals that say so."""

from collections.abc import Collection
from difflib import get_close_matches

from kitrec.core.errors import InputError

LISTED = 12  # names in a message; of more, how many there are


def did_you_mean(name: str, names: Collection[str]) -> str:
    """Return `did you mean a?`, or the names there are."""
    listed = sorted(names)
    if close := get_close_matches(name, listed, n=1, cutoff=0.5):
        return f"did you mean {close[0]}?"
    if not listed:
        return "there are none"
    more = f" and {len(listed) - LISTED} more" if len(listed) > LISTED else ""
    return f"there are {', '.join(listed[:LISTED])}{more}"


def require_name(name: str, names: Collection[str], what: str) -> str:
    """Return the name; refuse one that is not among the names, with the closest of them."""
    if name not in names:
        raise InputError(f"{name!r} is no {what}: {did_you_mean(name, names)}")
    return name


def records_of_users(records: int, users: int | None) -> str:
    """Return `600 records of 564 users`, the one form in which commands count what they tested on."""
    listed = f"{records:,} record{'s' * (records != 1)}"
    return listed if users is None else f"{listed} of {users:,} user{'s' * (users != 1)}"
