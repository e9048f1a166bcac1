"""A report page of made data with everything on it: two test sets, two domains, forty users, hostile texts."""

from itertools import product

import polars as pl

from kitrec.report import charts, run_charts, run_sections
from kitrec.report.calibration_section import calibration_question
from kitrec.report.first_screen import METRICS, FirstScreen, View, first_screen, views
from kitrec.report.page import Example, Report, Section, page
from kitrec.report.palette import methods
from kitrec.report.questions import declared_question
from kitrec.report.sections import hit_rates
from kitrec.report.users import UserRecord, people
from tests.report.test_explorer_users import HOSTILE, ITEMS, METHODS, made_user
from tests.report.test_figures import CURVES
from tests.report.test_first_screen import MEANS, ROLES, made_pairs
from tests.report.test_questions import ERRORS, made_declared
from tests.report.test_run_sections import made_cost

DRAWN = methods(list(ROLES), ROLES)
CORES = ("1", "2", "10+")


def made_strata(shift: float) -> pl.DataFrame:
    """Means in every stratum; each view has numbers of its own."""
    members = [("all", "all"), *(("domain", d) for d in ("movies", "music")), *(("core", c) for c in CORES)]
    members += [("domain_core", f"{d} {c}") for d, c in product(("movies", "music"), CORES)]
    rows = [
        {
            "method": name,
            "kind": kind,
            "stratum": stratum,
            "member": member,
            "metric": metric,
            "n": 60 + k,
            "users": 58,
            "mean": mean * shift - 0.01 * k,
            "low": mean * shift - 0.03 - 0.01 * k,
            "high": mean * shift + 0.05,
            "few": member.endswith("10+"),
        }
        for name, mean in MEANS.items()
        for kind in (("scored", "written") if name in ("llm", "seq") else ("scored",))
        for k, (stratum, member) in enumerate(members)
        for metric in METRICS
    ]
    return pl.DataFrame(rows).with_columns(pl.col("mean", "low", "high").clip(0, 1))


def made_explorer_users() -> list[UserRecord]:
    """Users of whom the first ten have the held-out item first."""
    users = [made_user(f"U{k:02}", HOSTILE if k == 7 else "I like the Sea") for k in range(40)]
    right = {"llm": ["I2", "I3", "I4"], "llm (written)": ["I2"]}
    return [UserRecord(u.record, right if k < 10 else u.rankings, u.answers) for k, u in enumerate(users)]


def made_sections() -> list[Section]:
    """A section of every kind."""
    strata = made_strata(1.0)
    by_core = strata.filter(stratum="core", metric="mrr", kind="scored").rename({"member": "core"})
    panels = {
        name: charts.filled_history_chart(DRAWN, "MRR", by_core.select("method", "core", "mean", "low", "high", "n"))
        for name in ("Movies & TV", "Music")
    }
    cost = pl.DataFrame([{"method": name, "mean": 0.3, "seconds_per_user": 0.1} for name in ("llm", "seq")])
    chart = run_charts.quality_cost_chart(DRAWN, cost, "NDCG@10")
    levels = pl.DataFrame([{"method": name, "confidence": 9.0, "n": 40, "accuracy": 0.5} for name in ("llm", "seq")])
    stated = calibration_question(DRAWN, levels, {"llm": ERRORS, "seq": ERRORS})
    curves = CURVES.filter(pl.col("method") == "popularity").with_columns(method=pl.lit("seq"))
    examples = [Example(f"llm, no_json: {HOSTILE}", "U07:movies", f"no json {HOSTILE}")]
    rows = [["b", "0.5 (0.4–0.6)", "small"], ["a", "10", "large"], ["c", "0.25", "–"]]
    return [
        Section("RQ3 By history", HOSTILE, question="How?", finding="So.", panels=panels),
        Section("Quality against cost", "Cost.", question="What?", finding="That.", chart=chart),
        stated,
        declared_question(made_declared()),
        hit_rates(DRAWN, curves),
        Section("Numbers", HOSTILE, ["name", "value", "size"], rows, examples=examples),
        run_sections.timeline({"prepare": made_cost(1.0), "train_x": made_cost(20.0)}, ["prepare", "train_x"]),
        run_sections.strata_section(DRAWN, strata, ["mrr", "hit@1"]),
    ]


def made_page() -> str:
    """Return the whole page."""
    means = {"A": made_strata(1.0), "B": made_strata(0.7)}
    pairs = {view: made_pairs(0.01 if view.test_set == "A" else 0.6) for view in views("AB", ["movies", "music"])}
    labels = {"movies": "Movies & TV", "music": "Music", "source": "Books"}
    notes = {"llm": "fine-tuned LLM, thinks first", "oracle": HOSTILE}
    screen = first_screen(FirstScreen(DRAWN, means, pairs, pairs[View("A")], labels, {"llm": 1}, notes, "ndcg@10"))
    explorer = people({"A": made_explorer_users(), "B": made_explorer_users()[:5]}, ITEMS, labels, METHODS)
    facts = {"commit": "0" * 40, "data": HOSTILE}
    chart = charts.history_chart(DRAWN, "METRIC")
    return page(Report("Which method ranks best?", facts, made_sections(), screen, chart, "Note.", explorer))
