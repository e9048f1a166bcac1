"""A data set in KitREC's file layouts, written without the project's own renderer: the texts are invented here, the
structure is that of the authors' documents. Every file has its own habits, as files of several hands have."""

import json
import random
from dataclasses import dataclass, field
from pathlib import Path

PLACES = "Harbour Meadow Tundra Quay Island Mill Station Orchard Canal Summit Garden Lighthouse".split()
THINGS = "Lantern Letter Clock River Garden Compass Ladder Mirror Window Bridge Kettle Violin".split()
GENRES = {
    "Books": ["Historical", "Mystery", "Poetry"],
    "Movies & TV": ["Drama", "Comedy"],
    "Music": ["Folk", "Jazz", "Rock"],
}
SHORT = {"Movies & TV": "movies", "Music": "music"}
TARGET_ITEMS = {"overlapping_books": 5, "cold_start_4core": 4, "cold_start_3core": 3, "cold_start_2core": 2}
EMPTY = ["No history available", "None", "(No interactions)", "- None", "No history available.", "[]"]
CANDIDATES = 10


@dataclass
class MadeRecord:
    """What the files say of a user in one candidate set."""

    user: str
    user_type: str
    target: str
    books: list[str]
    seen: list[str]
    truth: str
    core: int
    candidates: dict[str, list[str]] = field(default_factory=dict)  # candidate set -> ids


def made_items() -> dict[str, dict[str, tuple[str, str]]]:
    """Return domain -> id -> (title, genre)."""
    rng, items = random.Random(1), {}
    for domain, letter in (("Books", "B"), ("Movies & TV", "M"), ("Music", "A")):
        names = [f"{place} {thing}" for place in PLACES for thing in THINGS]
        rng.shuffle(names)
        items[domain] = {f"{letter}0{k:04}": (name, rng.choice(GENRES[domain])) for k, name in enumerate(names[:60])}
    return items


def made_records(role: str, per_type: int, items: dict) -> list[MadeRecord]:
    """Return records of every user type, sorted by type as the authors' files are."""
    rng, records = random.Random(role), []
    for target, short in SHORT.items():
        for kind, minimum in {**TARGET_ITEMS, "source_only": 1}.items():
            for k in range(per_type):
                count = minimum + (k % 2) * 7 if kind == "overlapping_books" else minimum
                books = rng.sample(sorted(items["Books"]), 5 + k % 3)
                *seen, truth = rng.sample(sorted(items[target]), count)
                others = [item for item in sorted(items[target]) if item not in (*seen, truth)]
                user = f"AE{role.upper()}{short[:2].upper()}{kind[-5:].upper().replace('_', '')}{k:04}"
                record = MadeRecord(user, f"{kind}_{short}", target, books, seen, truth, count)
                for which in "AB":
                    listed = [truth, *rng.sample(others, CANDIDATES - 1)]
                    rng.shuffle(listed)
                    record.candidates[which] = listed
                records.append(record)
    return records


def write(folder: Path, sizes: dict[str, int]) -> dict[str, list[MadeRecord]]:
    """Write both sets; return role (train, val, test) -> records."""
    items = made_items()
    made = {role: made_records(role, per_type, items) for role, per_type in sizes.items()}
    for which in "AB":
        place = folder / f"set{which}"
        (place / "by_model").mkdir(parents=True)
        for role, records in made.items():
            rows: dict[str, list[str]] = {}
            for number, record in enumerate(records):
                name = f"by_model/{_model(record)}" if role == "train" and which == "A" else role
                row = _row(role, number, record, which, items)
                rows.setdefault(name, []).append(json.dumps(row, ensure_ascii=False))
            for name, lines in rows.items():
                (place / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return made


def _model(record: MadeRecord) -> str:
    return f"{'singleft' if 'source_only' in record.user_type else 'dualft'}_{SHORT[record.target]}"


def _row(role: str, number: int, record: MadeRecord, which: str, items: dict) -> dict:
    system = "# Expert Cross-Domain Recommendation System\n\n## Input Parameters\n- Source Domain: Books\n"
    history = _history(record, number, items)
    rest = _list_of_candidates(record, which, number, items)
    known = {"user_id": record.user, "user_type": record.user_type, "candidate_set": which}
    known |= {"target_domain": record.target, "source_domain": "Books"}
    if role == "train":  # the flat columns of 001, without a core
        rest = {"confidence_score": 9.5, "thinking_length": 90, "gt_item_id": record.truth, **known, "rest": rest}
        text = rest.pop("rest")
        return {"instruction": f"{system}\n{history}\n{text}", "output": _output(record, items), **rest}
    truth = {"item_id": record.truth, "title": items[record.target][record.truth][0], "rating": 4.0}
    row = {"output": "", "ground_truth": json.dumps([truth])}
    if role == "val":
        return {"instruction": system, "input": f"{history}\n{rest}", **row, "metadata": known}
    known |= {"target_core": record.core, "user_category": record.user_type.rpartition("_")[0]}
    return {"instruction": f"{system}\n{history}", "input": rest, **row, "metadata": known}


def _history(record: MadeRecord, number: int, items: dict) -> str:
    lead = ("  ", "- ", "{k}. ")[number % 3]
    books = [_line(lead, k, item, items["Books"], "Read on a train.") for k, item in enumerate(record.books, 1)]
    books[0] += "\n\nA second paragraph of the review\n- and a dash" if number % 2 else ""
    seen = [_line(lead, k, item, items[record.target], "Good.") for k, item in enumerate(record.seen, 1)]
    empty = EMPTY[number % len(EMPTY)]
    return (
        "## User Interaction History\n### User's Books History (Source Domain):\n"
        "(Format: (ID: item) title | categories)\n"
        + "\n".join(books)
        + f"\n### User's {record.target} History (Target Domain):\n"
        + ("\n".join(seen) or empty)
        + "\n"
    )


def _list_of_candidates(record: MadeRecord, which: str, number: int, items: dict) -> str:
    lines = [_line("  ", 0, item, items[record.target], "") for item in record.candidates[which]]
    around = ("[", "]") if number % 2 else ("The candidates:", "")
    heading = f"## List of Available Candidate Items ({CANDIDATES} items):"
    return "\n".join([heading, around[0], *lines, around[1], "", "## Your Task", "Recommend the best candidate."])


def _line(lead: str, k: int, item: str, known: dict, text: str) -> str:
    title, genre = known[item]
    return f"{lead.format(k=k)}(ID: {item}) {title} | {genre} | Rating: 4.0{' | ' if text else ''}{text}"


def _output(record: MadeRecord, items: dict) -> str:
    title, genre = items[record.target][record.truth]
    answer = {
        "rank": 1,
        "item_id": record.truth,
        "title": title,
        "confidence_score": 9.5,
        "rationale": f"It is {genre}.",
    }
    return (
        f"<think>\n**Source Domain Pattern Analysis:**\n{genre}\n</think>\n```json\n{json.dumps(answer, indent=2)}\n```"
    )
