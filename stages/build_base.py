"""Make the tiny base from nothing.   python -m stages.build_base
Reads only params; writes base/tiny-qwen3 (weights, tokenizer, configuration) and plots/base/curve.csv. The stage is
frozen: the repository ships its result. `dvc unfreeze build_base && dvc repro build_base` makes it again."""

import re
from collections.abc import Iterator
from pathlib import Path

import polars as pl
from rich.progress import Progress

from kitrec import files, params
from kitrec.prompts.tokens import Encoder, Turn
from kitrec.randomness import generator
from kitrec.tinybase.params import TinyBase
from kitrec.tinybase.pretrain import Batch, batch_of, pretrain
from kitrec.tinybase.rehearsal import rehearsal_samples, rehearsal_turns
from kitrec.tinybase.shape import new_model
from kitrec.tinybase.tokenizer import train_tokenizer
from stages import entry

BASE = Path("base/tiny-qwen3")


def main(quiet: entry.Quiet = entry.NOBODY_WATCHES) -> None:
    """Train tokenizer and model on rehearsal worlds and save them as a base any stage can load."""
    seed, p = params.load(int, "seed"), params.load(TinyBase, "tiny_base")
    with entry.running("build_base", None, reads=[], params=[seed, p]), files.whole(BASE) as draft:
        tokenizer = train_tokenizer(_template_texts(seed, p))
        model = new_model(p, tokenizer, seed)
        curve: list[tuple[int, float, float]] = []
        with Progress(disable=quiet) as progress:
            task = progress.add_task("pre-training", total=p.steps)

            def report(step: int, loss: float, tokens: float) -> None:
                curve.append((step, round(loss, 4), tokens))
                progress.update(task, advance=1, description=f"pre-training, loss {loss:.3f}")

            pretrain(model, _batches(seed, p, Encoder(tokenizer), tokenizer.pad_token_id), p, report)
        model.bfloat16().save_pretrained(draft, safe_serialization=True)
        tokenizer.save_pretrained(draft)
        _write_curve(curve)


def _template_texts(seed: int, p: TinyBase) -> list[str]:
    """Prompts and outputs without their ids: symbols of ids must be learned apart, never glued together."""
    return [re.sub(r"\b[A-Z]{10}\b", "", prompt + output) for prompt, output, _ in rehearsal_samples(seed, 0, p)]


def _batches(seed: int, p: TinyBase, encoder: Encoder, pad_id: int) -> Iterator[Batch]:
    """Batches from one rehearsal world after the other, each in its own random order, over and over."""
    number = 0
    while True:
        turns: list[Turn] = rehearsal_turns(seed, number % p.worlds, p, encoder)
        order = generator(seed, "pretrain order", number).permutation(len(turns)).tolist()
        for start in range(0, len(turns) - p.batch + 1, p.batch):
            yield batch_of([turns[k] for k in order[start : start + p.batch]], pad_id)
        number += 1


def _write_curve(curve: list[tuple[int, float, float]]) -> None:
    """Mean answer loss per 20 steps, with the tokens seen so far."""
    frame = pl.DataFrame(curve, schema=["step", "loss", "tokens"], orient="row").with_columns(
        pl.col("tokens").cum_sum()
    )
    means = frame.group_by((pl.col("step") - 1) // 20, maintain_order=True).agg(
        pl.col("tokens").last().cast(pl.Int64), pl.col("loss").mean().round(4)
    )
    with files.whole(Path("plots/base/curve.csv")) as draft:
        means.select("tokens", "loss").write_csv(draft)


if __name__ == "__main__":
    entry.start(main)
