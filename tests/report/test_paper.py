import polars as pl
import pytest

from kitrec.errors import InputError
from kitrec.report.paper import latex, markdown, paper_table

METRICS = ("hit@1", "mrr")


@pytest.fixture
def table():
    means = {"kitrec_full": (0.3, 0.42), "base": (0.1, 0.42), "popularity": (0.05, 0.2)}
    cells = pl.DataFrame(
        [
            {"method": m, "kind": "scored", "stratum": "all", "metric": name, "n": 600, "mean": value}
            for m, values in means.items()
            for name, value in zip(METRICS, values, strict=True)
        ]
    )
    declared = {"method": "kitrec_full", "kind": "scored", "metric": "hit@1", "declared": True}
    comparisons = pl.DataFrame(
        [{**declared, "other": "base", "stars": "**"}, {**declared, "other": "popularity", "stars": "***"}]
    )
    return paper_table(cells, comparisons, "scored", METRICS, "kitrec_full"), cells, comparisons


def test_the_best_are_bold_ties_included_and_stars_stand_where_a_declared_comparison_found_something(table):
    lines = markdown(table[0]).splitlines()
    assert lines[0] == "| method | hit@1 | mrr |"
    assert "| kitrec_full | **0.300** | **0.420** |" in lines
    assert r"| base | 0.100\*\* | **0.420** |" in lines
    assert r"| popularity | 0.050\*\*\* | 0.200 |" in lines
    assert "n = 600" in lines[-1] and "Holm over 2 declared" in lines[-1]


def test_latex_escapes_names_and_balances_its_environments(table):
    text = latex(table[0])
    assert r"kitrec\_full & \textbf{0.300} & \textbf{0.420} \\" in text and "0.100$^{**}$" in text
    assert text.count(r"\begin{") == text.count(r"\end{") == 2 and "$<$ .05" in text
    assert not [line for line in text.splitlines() if "_" in line.replace(r"\_", "")]


def test_a_kind_without_rankings_is_refused(table):
    with pytest.raises(InputError, match="no written ranking"):
        paper_table(table[1], table[2], "written", METRICS, "kitrec_full")
