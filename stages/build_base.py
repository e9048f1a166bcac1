"""Make the tiny base from nothing.   python -m stages.build_base
Reads only params; writes base/tiny-qwen3 (weights, tokenizer, configuration) and plots/base. The stage is
frozen: the repository ships its result. `dvc unfreeze build_base && dvc repro build_base` makes it again."""

from pathlib import Path

import polars as pl
from transformers import PreTrainedTokenizerFast, Qwen3ForCausalLM

from kitrec.core import files, params
from kitrec.prompts.tokens import Encoder
from kitrec.tinybase import curve
from kitrec.tinybase.architecture import new_model
from kitrec.tinybase.card import model_card
from kitrec.tinybase.curriculum import Lessons
from kitrec.tinybase.params import TinyBase
from kitrec.tinybase.pretrain import StepMetrics, pretrain
from kitrec.tinybase.tokenizer import choice_opener, learn_tokenizer
from kitrec.training.progress import progress_bar
from stages.lib import runner

BASE = Path("base/tiny-qwen3")
CURVES = Path("plots/base")


def main(quiet: runner.Quiet = runner.NOBODY_WATCHES) -> None:
    """Train tokenizer and model on rehearsal worlds and save them as a base any stage can load."""
    seed, p = params.load(int, "seed"), params.load(TinyBase, "tiny_base")
    with runner.running("build_base", None, reads=[], params=[seed, p]) as run, files.whole(BASE) as draft:
        tokenizer = learn_tokenizer(seed, p)
        model = new_model(p, tokenizer, seed)
        lessons = Lessons(seed, p, Encoder(tokenizer), tokenizer.pad_token_id)
        with progress_bar(quiet=quiet) as bar, (run.work / "curve.jsonl").open("a") as log:

            def report(done: StepMetrics) -> None:
                files.append_json(done.__dict__, log)
                bar.update("pre-training", done.step, p.steps, f"{done.lesson}, loss {done.loss:.2f}")

            opener = choice_opener(tokenizer)
            pretrain(model, lessons.lesson, p.steps, p.learning_rate, opener, run.work, report)
        steps = curve.steps_of(run.work / "curve.jsonl")
        sizes = model.num_parameters(), len(tokenizer), steps["tokens"][-1]
        _save(model, tokenizer, model_card(p, seed, *sizes, curve.at_the_end(steps)), draft)
        _write_curves(curve.points(steps))


def _save(model: Qwen3ForCausalLM, tokenizer: PreTrainedTokenizerFast, card: str, folder: Path) -> None:
    """Weights, tokenizer and model card."""
    model.bfloat16().save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    (folder / "README.md").write_text(card, encoding="utf-8")


def _write_curves(points: pl.DataFrame) -> None:
    """One curve for each kind of lesson."""
    with files.whole(CURVES) as folder:
        folder.mkdir()
        for (lesson,), own in points.partition_by("lesson", as_dict=True, include_key=False).items():
            (folder / lesson).mkdir()
            measured = [name for name in own.columns if own[name].null_count() < own.height]
            own.select(measured).write_csv(folder / lesson / "curve.csv")


if __name__ == "__main__":
    runner.start(main)
