"""The plan of evaluation and fine-tuning: its two row formats (section 2.7), file layout (2.1), counts and strata."""

import json
from pathlib import Path

import polars as pl
import pytest

from kitrec.core.domains import KITREC, core_label
from kitrec.core.errors import InputError
from kitrec.sources.kitrec_dataset import find_files
from kitrec.sources.kitrec_hub import dataset_names
from kitrec.sources.kitrec_jsonl import load, prompt_text, read_row
from kitrec.sources.prompt_text import parse_prompt
from kitrec.sources.quarantine import Quarantine
from kitrec.sources.sample_counts import count_deviations, length_deviations

FOLDER = Path(__file__).parent / "kitrec"
SYSTEM = (FOLDER / "system_000.txt").read_text(encoding="utf-8")
USER = (FOLDER / "user_000.txt").read_text(encoding="utf-8")
HISTORY, _, REST = USER.partition("## List of Available")
CANDIDATES = f"## List of Available{REST}"
TRUTH = {"item_id": "B000TUNDRA", "title": "Tundra", "rating": 4.0}


def made_metadata(**changed):
    """The metadata of section 2.7."""
    metadata = {
        "user_id": "AE3INVENTEDUSER0000000000002",
        "user_type": "source_only_movies",
        "user_category": "source_only",
        "target_domain": "Movies & TV",
        "source_domain": "Books",
        "target_core": 1,
        "books_core": 2,
        "candidate_set": "B",
        "gt_item_id": "B000TUNDRA",
        "thinking_length": 120,
        "confidence_score": 8.5,
        "generation_time_sec": 3.2,
    }
    return {**metadata, **changed}


def made_training_row(**changed):
    output = '<think>\nCold places.\n</think>\n```json\n{"item_id": "B000TUNDRA"}\n```'
    return {"instruction": f"{SYSTEM}\n{USER}", "input": "", "output": output, "metadata": made_metadata(), **changed}


def made_test_row(**changed):
    row = {"instruction": SYSTEM, "input": USER, "output": "", "ground_truth": json.dumps([TRUTH])}
    return {**row, "metadata": made_metadata(), **changed}


def record(row):
    return read_row(row, "B", 3, require_output=False)[0]


DIVIDED = {
    "whole in instruction": {"instruction": f"{SYSTEM}\n{USER}", "input": ""},
    "whole in input": {"instruction": "", "input": USER},
    "system, user": {"instruction": SYSTEM, "input": USER},
    "system and history, candidates": {"instruction": f"{SYSTEM}\n{HISTORY}", "input": CANDIDATES},
    "history, candidates": {"instruction": HISTORY.rstrip(), "input": CANDIDATES},
    "whole in both": {"instruction": f"{SYSTEM}\n{USER}", "input": USER},
    "history, whole": {"instruction": HISTORY, "input": USER},
    "whole, a request": {"instruction": f"{SYSTEM}\n{USER}", "input": "Recommend now."},
    "no input": {"instruction": USER, "input": None},
}


@pytest.mark.parametrize("made", [made_training_row, made_test_row])
@pytest.mark.parametrize("division", DIVIDED)
def test_the_prompt_may_be_divided_in_any_way_in_both_splits(made, division):
    """Training rows have it in `instruction`, test rows in both; others have been seen to divide it elsewhere."""
    read = record(made(**DIVIDED[division]))
    kept = [name for name in read if name not in ("output", "gt_rating", "published_prompt")]
    expected = record(made())
    assert [read[name] for name in kept] == [expected[name] for name in kept]
    assert read["source_items"] == ["B00QUAYSIDE", "1590301234"] and read["target_items"] == []
    assert read["candidate_ids"] == ["B000HARBOR", "B000MEADOW", "B000TUNDRA"]
    assert (read["gt_item_id"], read["core"], read["target"]) == ("B000TUNDRA", 1, "movies")


def test_where_both_fields_hold_a_prompt_that_of_input_counts():
    other = USER.replace("B000HARBOR", "B000OTHERS")
    assert prompt_text(made_test_row(instruction=other)) == USER


def test_the_validation_rows_have_no_core():
    metadata = {key: value for key, value in made_metadata().items() if key != "target_core"}
    assert record(made_test_row(metadata=metadata))["core"] == 1
    films = "\n".join(f"{k}. (ID: B00FILM{k:03}) Film {k} | Drama | Rating: 4.0" for k in range(10))
    warm = made_test_row(input=USER.replace("No history available.", films))
    warm["metadata"] = {**metadata, "user_type": "overlapping_books_movies"}
    assert core_label(record(warm)["core"]) == "10+"


@pytest.mark.parametrize(
    "heading",
    [
        "### User's Movies & TV History (Target Domain):",
        "## User’s Movies & TV History (Target Domain):",
        "### User's Movies & TV History (Target Domain - 0 items):",
        "### User's Movies History (Target Domain)",
        "#### user's movies & tv history (target domain):",
        "### User's Movies and TV History (Target Domain): (none yet)",
    ],
)
def test_headings_written_otherwise_are_understood(heading):
    usual = "### User's Movies & TV History (Target Domain):"
    assert usual in USER
    assert parse_prompt(USER.replace(usual, heading)).target == "movies"


@pytest.mark.parametrize(
    "heading",
    ["## List of Available Candidate Items", "## List of Available Candidate Items (3 items):", "## Candidate Items:"],
)
def test_headings_of_candidates_written_otherwise_are_understood(heading):
    assert len(parse_prompt(USER.replace("## List of Available Candidate Items (3 items)", heading)).candidates) == 3


def test_both_layouts_of_training_files_are_found(tmp_path):
    for name in ("val", "test", *(f"by_model/{model.replace('-', '_')}" for model in KITREC.models)):
        for which in "AB":
            (tmp_path / f"set{which}/by_model").mkdir(parents=True, exist_ok=True)
            (tmp_path / f"set{which}/{name}.jsonl").touch()
    assert [path.stem for path in find_files(tmp_path)["A", "training"]] == [
        "dualft_movies",
        "dualft_music",
        "singleft_movies",
        "singleft_music",
    ]
    (tmp_path / "setA/train.jsonl").touch()
    assert [path.stem for path in find_files(tmp_path)["A", "training"]] == ["train"]
    (tmp_path / "setB/val.jsonl").unlink()
    with pytest.raises(InputError, match=r"lacks setB/val.jsonl"):
        find_files(tmp_path)


def test_the_hub_has_the_twelve_names_of_the_document():
    listed = [f"kitrec-{model}-set{which}" for which in "ab" for model in ("dualft_movies", "dualft_music")]
    listed += [f"kitrec-{model}-set{which}" for which in "ab" for model in ("singleft_movies", "singleft_music")]
    listed += [f"kitrec-{split}-set{which}" for which in "ab" for split in ("val", "test")]
    assert sorted(dataset_names()) == sorted(listed)


def made_table(counts):
    return pl.DataFrame({"user_type": [name for name, count in counts.items() for _ in range(count)]})


def test_the_counts_of_the_document_deviate_in_nothing():
    every = dict.fromkeys(KITREC.user_types, 3_000)
    val = dict(zip(KITREC.user_types, [2_100, 300, *[1_200] * 8], strict=True))
    tables = {(which, group): made_table(every) for which in "AB" for group in ("training", "test")}
    tables |= {(which, "preference"): made_table(val) for which in "AB"}
    assert count_deviations(tables) == []


def test_every_other_count_is_told_with_its_file_model_and_type():
    short = dict.fromkeys(KITREC.user_types, 3_000) | {"cold_start_2core_music": 2_990}
    tables = {("A", "training"): made_table(short), ("B", "preference"): made_table({"source_only_music": 7})}
    assert count_deviations(tables) == [
        "set A, train: 29,990 records, the documents state 30,000",
        "set A, train, dualft-music: 11,990 records, the documents state 12,000",
        "set A, train, cold_start_2core_music: 2,990 records, the documents state 3,000",
        "set B, val: 7 records, the documents state 12,000",
    ]


def test_lists_of_another_length_than_the_params_say_are_told():
    (line,) = length_deviations({("A", "test"): 100, ("B", "test"): 20}, 20)
    assert "set A, test: lists of 100" in line


@pytest.mark.parametrize("limit", [None, 2, 5])
def test_a_limit_takes_the_first_rows_of_every_type_of_a_sorted_file(tmp_path, limit):
    """A file sorted by user type, whose last row is broken, as a download that was cut."""
    types = ["source_only_movies"] * 6 + ["overlapping_books_movies"] * 6
    rows = []
    for k, user_type in enumerate(types):
        metadata = made_metadata(user_id=f"AE{k:04}", user_type=user_type)
        rows.append(json.dumps(made_test_row(metadata=metadata)))
    path, quarantine = tmp_path / "test.jsonl", Quarantine()
    path.write_text("\n".join([*rows, rows[0][:40]]), encoding="utf-8")
    read = load([path], "B", 3, quarantine, require_output=False, quiet=True, limit=limit).records
    assert dict(read["user_type"].value_counts().iter_rows()) == dict.fromkeys(set(types), limit or 6)
    assert read["user_id"][0] == "AE0000" and read["user_id"][limit or 6] == "AE0006"
    assert quarantine.read == 2 * (limit or 6) + 1
