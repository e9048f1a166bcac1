import polars as pl
import pytest

from kitrec.core import tables
from kitrec.ilora.dataset import questions_of
from kitrec.ilora.paper_metrics import EXAMINED, examine, ratios, shorter
from kitrec.ilora.prompts import Writer
from kitrec.ilora.scoring import likelihoods, written
from kitrec.ilora.tasks import TASKS
from kitrec.prompts.tokens import Encoder
from tests.ilora.made_teachers import a_choice, a_teacher, shipped_base, some_eyes

FACTS = {"categories": [], "average_rating": None, "description": None}
ITEMS = {f"I{k:02}": {"title": f"Old Lamp {k}", **FACTS} for k in range(8)}


def three_tasks() -> pl.DataFrame:
    rows = [
        (f"u{k}", "Movies & TV", 2, ["I00", "I01"], ["I02", "I03", "I04", "I05"], truth)
        for k, truth in enumerate(("I02", "I04", "I05"))
    ]
    return pl.DataFrame(rows, schema=dict(TASKS.columns), orient="row")


def test_a_shorter_list_keeps_the_truth_the_first_others_and_the_order():
    found = shorter(three_tasks(), 2)["candidates"].to_list()
    assert found == [["I02", "I03"], ["I02", "I04"], ["I02", "I05"]]
    assert shorter(three_tasks(), 9).equals(three_tasks())


def test_ratios_by_hand(tiny_base, tokenizer):
    writer = _writer(_teacher(tiny_base), tokenizer)
    examined = (
        three_tasks()
        .select("user_id", "target", "seen")
        .with_columns(
            # the truth is likeliest; shares the lead with one other; is last
            scores=pl.Series([[-1.0, -2.0, -3.0, -4.0], [-1.0, -2.0, -1.0, -9.0], [-1.0, -2.0, -3.0, -4.0]]),
            # names the truth; names two; names a wrong one
            written=pl.Series(["Old Lamp 2", "Old Lamp 2 or Old Lamp 4", "Old Lamp 3"]),
        )
    )
    found = ratios(examined, three_tasks(), writer)
    assert found["hit_ratio@1"] == pytest.approx(1 / 3, abs=1e-6)
    assert found["valid_ratio"] == pytest.approx(2 / 3, abs=1e-6)
    assert found["hit_ratio@1_scored"] == pytest.approx((1 + 0.5 + 0) / 3, abs=1e-6)
    assert found["samples"] == 3


def test_what_is_examined_is_what_the_teacher_scores_and_writes(tiny_base, tokenizer, tmp_path):
    teacher = _teacher(tiny_base)
    writer, tasks = _writer(teacher, tokenizer), three_tasks()
    found = examine(teacher, writer, tokenizer, tasks, scored=True, per_token=False)
    tables.write(found, tmp_path / "e.parquet", EXAMINED)
    asked = questions_of(tasks, writer, teacher.eyes)
    assert found["written"].to_list() == written(teacher, asked, tokenizer)
    values = likelihoods(teacher, asked, per_token=False)
    assert found["scores"].to_list() == [pytest.approx(own.tolist()) for own in values]
    alone = examine(teacher, writer, tokenizer, tasks, scored=False, per_token=False)
    tables.write(alone, tmp_path / "a.parquet", EXAMINED)
    assert alone["written"].equals(found["written"]) and alone["scores"].null_count() == 3
    assert "hit_ratio@1_scored" not in ratios(alone, tasks, writer)


def _teacher(tiny_base):
    return a_teacher(shipped_base(tiny_base), some_eyes())


def _writer(teacher, tokenizer):
    return Writer(Encoder(tokenizer), ITEMS, teacher.eyes.numbers, teacher.words, a_choice(answer="title"))
