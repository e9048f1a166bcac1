"""The section of orders and position bias, from metrics that are made up."""

from kitrec.report.order_section import order_sections, positions_table, read_orders, read_positions

TEST = {"n": 40, "chi2": 5.6, "df": 3, "p": 0.133, "w": 0.374}
NONE = {"n": 40, "chi2": None, "df": None, "p": None, "w": None}
PARTS = [
    {"positions": "1-5", "n": 20, "hit@1": 0.25, "first_choices": 0.75},
    {"positions": "6-10", "n": 20, "hit@1": None, "first_choices": 0.25},
]
POSITIONS = {
    "setA": {
        "base_direct": {"scored": {"n": 40, "hit@1": NONE, "first_choices": TEST, "parts": PARTS}},
        "sasrec": {"scored": {"n": 40, "hit@1": TEST, "first_choices": TEST, "parts": PARTS}},
    }
}
ORDERS = {
    "base_direct": {
        "records": 100,
        "hit@1": {"order 0": 0.5, "order 1": 0.4, "order 2": 0.45},
        "same_first_share": 0.7,
        "kendall_tau": 0.9,
    }
}


def test_methods_that_are_shown_a_list_come_first_and_the_others_say_so():
    bias, orders = order_sections(POSITIONS, ORDERS, "setA", ["base_direct", "never_run"])
    assert bias.columns[:3] == ["ranking", "Hit@1 1-5", "Hit@1 6-10"] and len(bias.columns) == len(bias.rows[0]) == 9
    assert bias.rows[0] == ["base_direct (scored)", "0.250", "–", "–", "–", "0.750", "0.250", "0.13", "0.37"]
    assert bias.rows[1][0] == "sasrec (scored), shown no list" and bias.rows[1][3:5] == ["0.13", "0.37"]
    assert orders.rows == [["base_direct", "100", "0.500", "0.400", "0.450", "0.700", "0.900"]]
    assert order_sections({}, {}, "setA", ["base_direct"]) == []


def test_the_table_has_scored_rankings_of_prompted_methods_alone():
    columns, rows = positions_table(POSITIONS, "setA", ["base_direct"])
    assert [row[0] for row in rows] == ["base_direct"] and len(rows[0]) == len(columns)
    assert rows[0][3:] == ["0.75 0.25", "0.13"]


def test_probes_that_did_not_run_are_absent(tmp_path):
    assert read_positions(tmp_path / "positions.json") == {} and read_orders(["m"], tmp_path) == {}
