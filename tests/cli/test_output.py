"""One table in three forms: nothing is cut in a terminal, JSON and CSV hold all figures."""

import csv
import io
import json

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from kitrec.cli import output
from kitrec.cli.names import did_you_mean, records_of_users
from kitrec.cli.output import Sheet, interval, number, text

ROWS = [
    {"method": "sasrec-ensemble-distilled-from-a-long-name", "hit@1": 0.123456, "low": 0.1, "high": 0.2, "n": 600},
    {"method": "m", "hit@1": None, "low": None, "high": None, "n": 7},
]
CELLS = {
    "method": text("method"),
    "hit@1": number("hit@1"),
    "95 %": lambda row: interval(row["low"], row["high"]),
    "n": number("n", "d"),
}
SHEET = Sheet("means", "A title", ROWS, CELLS, ("method",))


@pytest.mark.parametrize("width", [200, 80, 60, 44, 30])
def test_nothing_is_cut_at_any_width(width):
    printed = io.StringIO()
    output.print_sheet(SHEET, Console(file=printed, width=width))
    shown = printed.getvalue()
    assert "…" not in shown and max(map(len, shown.splitlines())) <= max(width, 54)  # a block's name is longer
    letters = iter(shown)
    assert all(letter in letters for letter in ROWS[0]["method"])  # in this order, wrapped or not
    for figure in ("0.123", "[.100, .200]", "600", "–", "7"):
        assert figure in shown


def made_command(second: bool = False, exit_code: int = 0) -> typer.Typer:
    app = typer.Typer()

    @app.command()
    @output.prints_tables
    def show(word: str = "x") -> None:
        """Show it."""
        output.table(SHEET)
        if second:
            output.table(Sheet("others", "", [{"a": 1.5}], {"a": number("a")}))
        output.note(f"a note on {word}")
        if exit_code:
            raise typer.Exit(exit_code)

    return app


def test_json_has_every_figure_and_the_notes():
    done = CliRunner().invoke(made_command(second=True), ["--json", "--word", "w"])
    assert json.loads(done.stdout) == {"tables": {"means": ROWS, "others": [{"a": 1.5}]}, "notes": ["a note on w"]}


def test_csv_of_one_table_is_plain_and_the_notes_are_elsewhere():
    done = CliRunner().invoke(made_command(), ["--csv"])
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [row["hit@1"] for row in rows] == ["0.123456", ""] and rows[0]["method"] == ROWS[0]["method"]
    assert "a note on x" in done.stderr


def test_csv_of_several_tables_names_them():
    lines = CliRunner().invoke(made_command(second=True), ["--csv"]).stdout.splitlines()
    assert lines[0] == "means" and lines[lines.index("") + 1 :] == ["others", "a", "1.5"]


def test_a_command_that_ends_with_a_status_still_prints():
    done = CliRunner().invoke(made_command(exit_code=3), ["--json"])
    assert done.exit_code == 3 and json.loads(done.stdout)["tables"]["means"] == ROWS


def test_brackets_are_no_markup_and_both_forms_at_once_are_refused():
    shown = CliRunner().invoke(made_command(), [], env={"COLUMNS": "100"}).stdout
    assert "[.100, .200]" in shown
    assert "choose one" in str(CliRunner().invoke(made_command(), ["--json", "--csv"]).exception)


def test_intervals_drop_the_zeros_before_their_points():
    assert interval(-0.0123, 0.5, "+.3f") == "[-.012, +.500]" and interval(0.25, 1.0) == "[.250, 1.000]"


def test_typos_get_a_suggestion_and_counts_have_one_form():
    assert did_you_mean("kitrec_ful", ["kitrec_full", "sasrec"]) == "did you mean kitrec_full?"
    assert did_you_mean("q", ["b", "a"]) == "there are a, b" and did_you_mean("q", []) == "there are none"
    assert did_you_mean("q", [f"u{k:02}" for k in range(20)]).endswith("u11 and 8 more")
    assert records_of_users(600, 564) == "600 records of 564 users" and records_of_users(1, 1) == "1 record of 1 user"
