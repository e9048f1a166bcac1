import re
import shutil
import subprocess

import polars as pl
import pytest

from kitrec.core.errors import InputError
from kitrec.report.paper_tables import PaperTable, Value, latex, markdown, paper_table

METRICS = ("hit@1", "mrr")


@pytest.fixture
def table():
    means = {"kitrec_full": (0.3, 0.42), "base": (0.1, 0.42), "popularity": (0.05, 0.2), "tuned": (0.35, 0.1)}
    means |= {"oracle": (0.9, 0.95)}  # knows the world: never the best
    strata_means = pl.DataFrame(
        [
            {"method": m, "kind": "scored", "stratum": "all", "metric": name, "n": 600, "users": 564, "mean": value}
            for m, values in means.items()
            for name, value in zip(METRICS, values, strict=True)
        ]
    )
    declared = {"method": "kitrec_full", "kind": "scored", "metric": "hit@1", "declared": True}
    comparisons = pl.DataFrame(
        [
            {**declared, "other": "base", "stars": "**"},
            {**declared, "other": "popularity", "stars": "***"},
            {**declared, "method": "tuned", "other": "kitrec_full", "stars": "*"},
        ]
    )
    return paper_table(strata_means, comparisons, "scored", METRICS, "kitrec_full", {}), strata_means, comparisons


def test_the_best_learned_are_bold_ties_included_and_stars_say_above_or_below(table):
    lines = markdown(table[0]).splitlines()
    assert lines[0] == "| method | hit@1 | mrr |"
    assert "| kitrec_full | 0.300 | **0.420** |" in lines
    assert r"| base | 0.100\*\*↓ | **0.420** |" in lines
    assert r"| popularity | 0.050\*\*\*↓ | 0.200 |" in lines
    assert r"| tuned | **0.350**\*↑ | 0.100 |" in lines
    assert "| oracle | 0.900 | 0.950 |" in lines
    assert "600 records of 564 users" in lines[-1] and "Holm over 3 declared" in lines[-1]


def test_a_table_of_written_rankings_tells_unequal_numbers_of_items(table):
    _, means, comparisons = table
    written = [frame.with_columns(kind=pl.lit("written")) for frame in (means, comparisons)]
    for base, said in ((10, "asked for: base 10, kitrec_full 1; different numbers compare in hit@1 alone"), (1, None)):
        answer_items = {"kitrec_full": 1, "base": base, "llm4cdr": 5}  # the last one is not in the table
        caption = paper_table(*written, "written", METRICS, "kitrec_full", answer_items).caption
        assert said in caption if said else "asked for" not in caption


def test_latex_has_the_values_of_the_table(table):
    text = latex(table[0])
    assert r"kitrec\_full & 0.300 & \textbf{0.420} \\" in text and r"0.100$^{**\downarrow}$" in text
    assert r"\textbf{0.350}$^{*\uparrow}$" in text and r"above ($\uparrow$)" in text and "$<$ .05" in text


NAMES = ["kitrec_full", "50%_off", "a&b", "#1", "$5", "{x}", "a~b^c", r"a\b\\", "x<y>z|w", r"\end{table}", "é – “q”"]


def hostile_table() -> PaperTable:
    rows = {name: [Value(0.5, k == 0, "***↑"), Value(0.25, False, "")] for k, name in enumerate(NAMES)}
    return PaperTable(f"All of {' '.join(NAMES)} (* p < .05)", ("hit@1", "ndcg@10"), rows)


@pytest.mark.parametrize("which", ["as it comes", "hostile names"])
def test_latex_is_balanced_and_every_row_has_as_many_columns_as_the_table(table, which):
    """Escaped letters are taken out first: what is left of the ten special ones is LaTeX's own."""
    text = latex(table[0] if which == "as it comes" else hostile_table())
    plain = re.sub(r"\\[_%&#${}]|\\text(?:backslash|asciitilde|asciicircum)\{\}", "", text)
    assert re.findall(r"\\(begin|end)\{(\w+)\}", plain) == [
        ("begin", "table"),
        ("begin", "tabular"),
        ("end", "tabular"),
        ("end", "table"),
    ]
    assert plain.count("{") == plain.count("}") and plain.count("$") % 2 == 0
    assert not re.search(r"[_%#~]", plain) and plain.count("^") == plain.count("$^{")
    columns = re.search(r"\{tabular\}\{(\w+)\}", plain)[1]
    rows = [line for line in plain.splitlines() if line.endswith(r"\\")]
    assert len(rows) == 1 + len(table[0].rows if which == "as it comes" else NAMES)
    assert {row.count("&") + 1 for row in rows} == {len(columns)} == {3}


LATEX = next(filter(None, map(shutil.which, ("pdflatex", "lualatex", "xelatex", "tectonic"))), None)


@pytest.mark.slow
@pytest.mark.skipif(LATEX is None, reason="no LaTeX here; `apt install texlive-latex-recommended` to run it")
@pytest.mark.parametrize("which", ["as it comes", "hostile names"])
def test_latex_compiles(table, which, tmp_path):
    body = latex(table[0] if which == "as it comes" else hostile_table())
    lines = [r"\documentclass{article}", r"\usepackage{booktabs}", r"\begin{document}", body, r"\end{document}"]
    (tmp_path / "paper.tex").write_text("\n".join(lines), encoding="utf-8")
    flags = [] if str(LATEX).endswith("tectonic") else ["-interaction=nonstopmode", "-halt-on-error"]
    command = [str(LATEX), *flags, "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "paper.pdf").read_bytes().startswith(b"%PDF")


def test_a_kind_without_rankings_is_refused(table):
    with pytest.raises(InputError, match="no written ranking"):
        paper_table(table[1], table[2], "written", METRICS, "kitrec_full", {})
