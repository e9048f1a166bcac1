"""Rows in the layout of KitREC's files with invented content, written line by line, by no renderer of the project.

Users share items, but every user has reviews of their own, and every prompt its own average ratings."""

import random
from dataclasses import dataclass
from typing import Any

TYPES = {
    ("movies", 0): "source_only_movies",
    ("movies", 1): "cold_start_2core_movies",
    ("movies", 2): "cold_start_3core_movies",
    ("movies", 3): "cold_start_4core_movies",
    ("music", 0): "source_only_music",
    ("music", 1): "cold_start_2core_music",
    ("music", 2): "cold_start_3core_music",
    ("music", 3): "cold_start_4core_music",
}
HEADINGS = {"movies": "Movies & TV", "music": "Music"}
WORDS = "amber basalt cedar delta ember fjord gale heath islet juniper kelp larch moor nettle oasis prairie".split()
GENRES = ("Drama", "Jazz, Vocal", "World Music, Folk, Live", "Cult Classics")


@dataclass(frozen=True)
class MadeRow:
    """A row, the lines of its histories and of its candidates, and its user's reviews."""

    row: dict[str, Any]
    history: list[str]
    candidates: list[str]
    reviews: list[str]


def made_rows(seed: int, count: int, *, candidates: int = 12, output: bool = False) -> list[MadeRow]:
    """Return rows of `count` users over 40 items of each domain."""
    rng = random.Random(seed)
    return [_row(rng, f"{'T' if output else 'E'}{seed}U{k}", candidates, output) for k in range(count)]


def _row(rng: random.Random, user: str, count: int, output: bool) -> MadeRow:
    target = rng.choice(("movies", "music"))
    seen = rng.randrange(4)
    books = [f"0{k:09d}" for k in rng.sample(range(40), rng.randint(1, 6))]
    shown = [f"B{'MV'[target == 'music']}{k:08d}" for k in rng.sample(range(40), seen + count)]
    reviews: list[str] = []

    def history_line(item: str) -> str:
        reviews.append(f"{user} wrote of {item}: {' '.join(rng.choices(WORDS, k=rng.randint(1, 6)))}")
        facts = [_title(item), _genres(item), f"Rating: {rng.randint(1, 5)}.0", reviews[-1]]
        return f"(ID: {item}) {' | '.join(fact for fact in facts if fact)}"

    def candidate_line(item: str) -> str:
        facts = [_title(item), _genres(item), f"Rating: {rng.randint(10, 50) / 10:.1f}"]
        facts += [f"Of {rng.choice(WORDS)} and {rng.choice(WORDS)}"] if rng.random() < 0.7 else []
        return f"(ID: {item}) {' | '.join(fact for fact in facts if fact)}"

    histories = [[history_line(item) for item in part] for part in (books, shown[:seen])]
    listed = [candidate_line(item) for item in shown[seen:]]
    held_out = rng.choice(shown[seen:])
    return MadeRow(
        _fields(user, target, histories, listed, held_out, TYPES[target, seen], output),
        [*histories[0], *histories[1]],
        listed,
        reviews,
    )


def _fields(
    user: str, target: str, histories: list[list[str]], listed: list[str], held_out: str, user_type: str, output: bool
) -> dict[str, Any]:
    lines = [
        "# Expert Cross-Domain Recommendation System",
        "",
        "## Input Parameters",
        "- Source Domain: Books",
        f"- Target Domain: {HEADINGS[target]}",
        "",
        "## User Interaction History",
        "### User's Books History (Source Domain):",
        *histories[0],
        f"### User's {HEADINGS[target]} History (Target Domain):",
        *(histories[1] or ["(none)"]),
        "",
        f"## List of Available Candidate Items ({len(listed)} items)",
        *listed,
        "",
        "## Your Task",
        "Recommend the one item that suits this person best, with your reasons.",
    ]
    answer = (
        "<think>\n**Source Domain Pattern Analysis:**\nThe shelf speaks of "
        f"{_title(held_out)}.\n</think>\n```json\n{{\n"
        f'  "rank": 1,\n  "item_id": "{held_out}",\n  "title": "{_title(held_out) or "Unknown"}",\n'
        f'  "confidence_score": 9.5,\n  "rationale": "{_title(held_out)} carries it on."\n}}\n```'
    )
    return {
        "instruction": "\n".join(lines),
        "input": "",
        "output": answer if output else "",
        "user_id": user,
        "user_type": user_type,
        "gt_item_id": held_out,
        "candidate_set": "A",
        "target_domain": HEADINGS[target],
        "source_domain": "Books",
    }


def _title(item: str) -> str:
    number = int(item[-2:])
    return (
        "Unknown"
        if number % 9 == 0
        else f"The {WORDS[number % 16].title()} of {WORDS[number // 3 % 16].title()} {number}"
    )


def _genres(item: str) -> str:
    number = int(item[-2:])
    return "" if number % 9 == 0 or number % 7 == 0 else GENRES[number % 4]
