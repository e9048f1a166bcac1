"""The papers' metrics of a teacher's answers, by hand and against its own scores and texts."""

import polars as pl
import pytest

from kitrec.core import tables
from kitrec.ilora.dataset import scoring_dataset
from kitrec.ilora.paper_metrics import TEACHER_ANSWERS, answer_tasks, hit_ratios, shorten_candidates
from kitrec.ilora.prompts import PromptBuilder
from kitrec.ilora.scoring import generate, log_likelihoods
from kitrec.ilora.tasks import TASKS
from kitrec.prompts.tokens import Encoder
from tests.ilora.made_teachers import made_encoder, made_prompt_config, made_teacher, shipped_base

FEATURES = {"categories": [], "average_rating": None, "description": None}
ITEMS = {f"I{k:02}": {"title": f"Old Lamp {k}", **FEATURES} for k in range(8)}


def made_tasks() -> pl.DataFrame:
    rows = [
        (f"u{k}", "Movies & TV", 2, ["I00", "I01"], ["I02", "I03", "I04", "I05"], ground_truth)
        for k, ground_truth in enumerate(("I02", "I04", "I05"))
    ]
    return pl.DataFrame(rows, schema=dict(TASKS.columns), orient="row")


def test_a_shortened_list_keeps_the_ground_truth_the_first_others_and_the_order():
    shortened = shorten_candidates(made_tasks(), 2)["candidates"].to_list()
    assert shortened == [["I02", "I03"], ["I02", "I04"], ["I02", "I05"]]
    assert shorten_candidates(made_tasks(), 9).equals(made_tasks())


def test_hit_ratios_by_hand(tiny_base, tokenizer):
    builder = _builder(_teacher(tiny_base), tokenizer)
    answers = (
        made_tasks()
        .select("user_id", "target", "prefix_length")
        .with_columns(
            # the ground truth is likeliest; is tied for the lead with one other; is last
            scores=pl.Series([[-1.0, -2.0, -3.0, -4.0], [-1.0, -2.0, -1.0, -9.0], [-1.0, -2.0, -3.0, -4.0]]),
            # names the ground truth; names two; names a wrong one
            text=pl.Series(["Old Lamp 2", "Old Lamp 2 or Old Lamp 4", "Old Lamp 3"]),
        )
    )
    metrics = hit_ratios(answers, made_tasks(), builder)
    assert metrics["hit_ratio@1"] == pytest.approx(1 / 3, abs=1e-6)
    assert metrics["valid_ratio"] == pytest.approx(2 / 3, abs=1e-6)
    assert metrics["hit_ratio@1_scored"] == pytest.approx((1 + 0.5 + 0) / 3, abs=1e-6)
    assert metrics["samples"] == 3


def test_answers_are_the_teachers_own_scores_and_texts(tiny_base, tokenizer, tmp_path):
    teacher = _teacher(tiny_base)
    builder, tasks = _builder(teacher, tokenizer), made_tasks()
    answers = answer_tasks(teacher, builder, tokenizer, tasks, scored=True, per_token=False)
    tables.write(answers, tmp_path / "scored.parquet", TEACHER_ANSWERS)
    dataset = scoring_dataset(tasks, builder, teacher.sequence_encoder)
    assert answers["text"].to_list() == generate(teacher, dataset, tokenizer)
    scores = log_likelihoods(teacher, dataset, per_token=False)
    assert answers["scores"].to_list() == [pytest.approx(values.tolist()) for values in scores]
    texts_only = answer_tasks(teacher, builder, tokenizer, tasks, scored=False, per_token=False)
    tables.write(texts_only, tmp_path / "texts.parquet", TEACHER_ANSWERS)
    assert texts_only["text"].equals(answers["text"]) and texts_only["scores"].null_count() == 3
    assert "hit_ratio@1_scored" not in hit_ratios(texts_only, tasks, builder)


def _teacher(tiny_base):
    return made_teacher(shipped_base(tiny_base), made_encoder())


def _builder(teacher, tokenizer):
    item_numbers, config = teacher.sequence_encoder.item_numbers, made_prompt_config(answer="title")
    return PromptBuilder(Encoder(tokenizer), ITEMS, item_numbers, teacher.vocab_size, config)
