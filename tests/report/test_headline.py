import json
import shutil

from kitrec.report.headline import (
    SHOWN,
    headline_tables,
    length_warnings,
    mentions_table,
    prompt_contents_table,
    read_answers,
    requested_items,
)


def test_tables_show_each_ranking_with_the_values_of_the_metrics_files(tmp_path):
    means = {name: k / 10 for k, name in enumerate(SHOWN)} | {"n": 7}
    strata = {"core": {"1": {"hit@1": 0.25}, "10+": {"hit@1": 0.5}}}
    (tmp_path / "means.json").write_text(json.dumps({"kitrec_full": {"written": means}, "random": {"scored": means}}))
    (tmp_path / "strata.json").write_text(
        json.dumps({"kitrec_full": {"written": strata}, "random": {"scored": strata}})
    )
    overall, by_core = headline_tables(tmp_path / "means.json", tmp_path / "strata.json")
    assert overall.title == "7 test users"
    assert [column.header for column in by_core.columns] == ["method", "ranking", "1", "10+"]
    assert [list(column.cells) for column in overall.columns] == [
        ["kitrec_full", "random"],
        ["written", "scored"],
        *([f"{k / 10:.3f}"] * 2 for k in range(len(SHOWN))),
    ]
    assert [next(iter(column.cells)) for column in by_core.columns][2:] == ["0.250", "0.500"]


def test_prompt_contents_of_all_methods_are_listed(tmp_path):
    for name, books in (("llm4cdr", 4.0), ("base_direct", 4.0)):
        contents = {"source_items": books, "target_items": 1.5, "notes": 0.0}
        (tmp_path / f"{name}.json").write_text(json.dumps({"setA": {"n": 7, "prompt_contents": contents}}))
    table = prompt_contents_table(read_answers(tmp_path, ["base_direct", "llm4cdr"]))
    assert [column.header for column in table.columns] == [
        "method",
        "test set",
        "source_items",
        "target_items",
        "notes",
    ]
    assert [list(column.cells) for column in table.columns][:3] == [
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
    columns = [list(column.cells) for column in mentions_table(answers).columns]
    assert columns == [
        ["base_direct"] * 2 + ["kitrec_full"] * 2,
        ["setA", "setB"] * 2,
        ["10"] * 4,
        ["0.96"] * 4,
        ["1955"] * 4,
        ["0.00"] * 2 + ["1.50"] * 2,
    ]
    assert length_warnings(answers) == ["kitrec_full, setA: cut", "kitrec_full, setB: cut"]
    assert requested_items(answers) == {"base_direct": 10, "kitrec_full": 10}
