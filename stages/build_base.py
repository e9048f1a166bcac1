"""Pre-train the tiny base from scratch.   python -m stages.build_base
Reads only params; writes base/tiny-qwen3 (weights, tokenizer, configuration) and plots/base. The stage is
frozen: the repository ships its result. `dvc unfreeze build_base && dvc repro build_base` makes it again."""

from pathlib import Path

import polars as pl
from transformers import PreTrainedTokenizerFast, Qwen3ForCausalLM

from kitrec.core import files, params
from kitrec.prompts.tokens import Encoder
from kitrec.tinybase.architecture import new_model
from kitrec.tinybase.card import model_card
from kitrec.tinybase.curriculum import Curriculum
from kitrec.tinybase.curve import curve_points, final_metrics, read_steps
from kitrec.tinybase.params import TinyBase
from kitrec.tinybase.pretrain import StepMetrics, pretrain
from kitrec.tinybase.tokenizer import choice_opener, train_base_tokenizer
from kitrec.training.progress import progress_bar
from stages.lib import runner

BASE = Path("base/tiny-qwen3")
CURVES = Path("plots/base")


def main(quiet: runner.Quiet = runner.NO_TERMINAL) -> None:
    """Train tokenizer and model on rehearsal worlds and save them as a base that all stages can load."""
    # 1. Params
    seed, p = params.load(int, "seed"), params.load(TinyBase, "tiny_base")
    with runner.running("build_base", None, reads=[], params=[seed, p]) as run, files.atomic(BASE) as draft:
        # 2. The tokenizer, the fresh model and its curriculum
        tokenizer = train_base_tokenizer(seed, p)
        model = new_model(p, tokenizer, seed)
        curriculum = Curriculum(seed, p, Encoder(tokenizer), tokenizer.pad_token_id)
        # 3. Pre-training, resumed from the newest checkpoint
        opener = choice_opener(tokenizer)
        with progress_bar(quiet=quiet) as bar, (run.work / "curve.jsonl").open("a") as log:

            def on_step_end(metrics: StepMetrics) -> None:
                files.append_json(metrics.__dict__, log)
                bar.update("pre-training", metrics.step, p.steps, f"{metrics.task}, loss {metrics.loss:.2f}")

            pretrain(model, curriculum.batch, p.steps, p.learning_rate, opener, run.work, on_step_end)
        # 4. The base with its model card, and the curves
        steps = read_steps(run.work / "curve.jsonl")
        sizes = model.num_parameters(), len(tokenizer), steps["tokens"][-1]
        _save(model, tokenizer, model_card(p, seed, *sizes, final_metrics(steps)), draft)
        _write_curves(curve_points(steps))


def _save(model: Qwen3ForCausalLM, tokenizer: PreTrainedTokenizerFast, card: str, folder: Path) -> None:
    """Save weights, tokenizer and model card."""
    model.bfloat16().save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    (folder / "README.md").write_text(card, encoding="utf-8")


def _write_curves(points: pl.DataFrame) -> None:
    """Write one curve per task."""
    with files.atomic(CURVES) as folder:
        folder.mkdir()
        for (task,), curve in points.partition_by("task", as_dict=True, include_key=False).items():
            (folder / task).mkdir()
            measured = [name for name in curve.columns if curve[name].null_count() < curve.height]
            curve.select(measured).write_csv(folder / task / "curve.csv")


if __name__ == "__main__":
    runner.start(main)
