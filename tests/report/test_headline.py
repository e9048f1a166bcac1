import json

from kitrec.report.headline import SHOWN, headline_tables


def test_tables_show_each_ranking_with_the_numbers_of_the_metrics_files(tmp_path):
    means = {name: k / 10 for k, name in enumerate(SHOWN)} | {"n": 7}
    cells = {"core": {"1": {"hit@1": 0.25}, "10+": {"hit@1": 0.5}}}
    (tmp_path / "means.json").write_text(json.dumps({"kitrec_full": {"written": means}, "random": {"scored": means}}))
    (tmp_path / "strata.json").write_text(json.dumps({"kitrec_full": {"written": cells}, "random": {"scored": cells}}))
    overall, by_core = headline_tables(tmp_path / "means.json", tmp_path / "strata.json")
    assert overall.title == "7 test users"
    assert [column.header for column in by_core.columns] == ["method", "ranking", "1", "10+"]
    assert [list(column.cells) for column in overall.columns] == [
        ["kitrec_full", "random"],
        ["written", "scored"],
        *([f"{k / 10:.3f}"] * 2 for k in range(len(SHOWN))),
    ]
    assert [next(iter(column.cells)) for column in by_core.columns][2:] == ["0.250", "0.500"]
