"""The section on what answers hold: every method on every set and in every stratum, a dash where nothing is known."""

from kitrec.report.answer_sections import COLUMNS, answers_by_stratum


def held(n: int, thought: float, mentions: float) -> dict[str, object]:
    means = {
        "thinking_characters": {"mean": thought, "low": thought - 1, "high": thought + 1, "share": 1.0},
        "history_mentions": {"mean": mentions, "low": mentions, "high": mentions, "share": 0.5},
    }
    return {"n": n, **means}


def errors(mae: float) -> dict[str, object]:
    numbers = {"mae": mae, "mae_low": mae - 0.1, "mae_high": mae + 0.1}
    return {"all": {"halved": {**numbers, **{name.replace("mae", "rmse"): v + 1 for name, v in numbers.items()}}}}


NONE = {"all": {"halved": dict.fromkeys(("mae", "mae_low", "mae_high", "rmse", "rmse_low", "rmse_high"))}}
CONFIDENCE = {
    "setA": {"full": {**errors(0.5), "domain": {"movies": errors(0.25), "music": NONE}, "core": {"10+": errors(0.75)}}},
    "setB": {"full": errors(0.625)},
}
ANSWERS = {
    "full": {
        "setA": {
            **held(60, 1955.4, 1.5),
            "domain": {"movies": held(40, 2000, 1.0), "music": held(20, 1800, 2.0)},
            "core": {"10+": held(5, 10, 0.0)},
        },
        "setB": held(60, 1900, 1.0),
    }
}
RATIONALES = {
    "full": {
        "setA": {
            **{"writer": 4.0, "writer_low": 3.5, "writer_high": 4.5, "base": 8.0, "base_low": 7.0, "base_high": 9.0},
            "domain": {"movies": {"writer": 3.0, "writer_low": 2.0, "writer_high": 5.0, "base": None}},
        }
    }
}


def test_every_stratum_has_the_numbers_of_its_files():
    section = answers_by_stratum(CONFIDENCE, ANSWERS, RATIONALES, min_users=30)
    assert section.collapsed and section.columns == COLUMNS and all(len(row) == len(COLUMNS) for row in section.rows)
    by_label = {row[0]: row[1:] for row in section.rows}
    assert by_label["test set: A"] == [
        *("full", "60", "0.500 (0.400–0.600)", "1.500 (1.400–1.600)", "1955 (1954–1956)", "1.50 (1.50–1.50)"),
        *("4.00 (3.50–4.50)", "8.00 (7.00–9.00)"),
    ]
    assert by_label["test set: B"][2] == "0.625 (0.525–0.725)" and by_label["test set: B"][-2:] == ["–", "–"]
    assert by_label["domain: movies"][-2:] == ["3.00 (2.00–5.00)", "–"]
    assert by_label["domain: music (few)"][2:4] == ["–", "–"] and by_label["core: 10+ (few)"][1] == "5"
    assert len(section.rows) == 5


def test_a_run_without_stated_confidences_or_rationales_shows_what_there_is():
    rows = answers_by_stratum({"setA": {}}, ANSWERS, {}, min_users=30).rows
    assert rows[0][0] == "test set: A" and all(row[3] == row[4] == row[7] == "–" for row in rows)
