import json
import shutil

from kitrec.cli.result_sheets import mentions_sheet, prompt_sheet
from kitrec.report.headline import length_warnings, read_answers, requested_items


def shown(sheet) -> list[list[str]]:
    """The columns of a table, as people see them."""
    return [[str(cell(row)) for row in sheet.rows] for cell in sheet.cells.values()]


def test_prompt_contents_of_all_methods_are_listed(tmp_path):
    for name, books in (("llm4cdr", 4.0), ("base_direct", 4.0)):
        contents = {"source_items": books, "target_items": 1.5, "notes": 0.0}
        (tmp_path / f"{name}.json").write_text(json.dumps({"setA": {"n": 7, "prompt_contents": contents}}))
    table = prompt_sheet(read_answers(tmp_path, ["base_direct", "llm4cdr"]))
    assert list(table.cells) == ["method", "test set", "source_items", "target_items", "notes"]
    assert shown(table)[:3] == [
        ["base_direct", "llm4cdr"],
        ["setA", "setA"],
        ["4.0", "4.0"],
    ]


def test_mentions_of_all_methods_are_listed(tmp_path):
    for name, mean in (("kitrec_full", 1.5), ("base_direct", 0.0)):
        statistics = {
            "prompt_contents": {},
            "answer_items": 10,
            "items_named": 0.957,
            "thinking_characters": {"mean": 1955.4},
            "history_mentions": {"mean": mean, "share": 0.5},
            "warnings": ["cut"] if mean else [],
        }
        (tmp_path / f"{name}.json").write_text(json.dumps({"setA": statistics, "setB": statistics}))
    (tmp_path / "ilora-sasrec.json").write_text(json.dumps({"setA": {"n": 7}}))  # no prompts
    shutil.copy(tmp_path / "kitrec_full.json", tmp_path / "earlier.json")  # of a run of other methods
    answers = read_answers(tmp_path, ["base_direct", "kitrec_full", "ilora-sasrec", "popularity"])
    assert shown(mentions_sheet(answers)) == [
        ["base_direct"] * 2 + ["kitrec_full"] * 2,
        ["setA", "setB"] * 2,
        ["10"] * 4,
        ["0.96"] * 4,
        ["1955"] * 4,
        ["0.00"] * 2 + ["1.50"] * 2,
    ]
    assert length_warnings(answers) == ["kitrec_full, setA: cut", "kitrec_full, setB: cut"]
    assert requested_items(answers) == {"base_direct": 10, "kitrec_full": 10}
