"""Fine-tune a DualFT adapter.   python -m stages.train_dualft movies-full
Reads data/records/set<candidate_set>/dualft-<target> and the pinned base; writes models/<variant>/dualft-<target>, its
curves in plots/training and its metrics in metrics/train."""

from functools import partial
from pathlib import Path

from kitrec.core import files, params, tables
from kitrec.core.domains import Domains
from kitrec.llm.base.fetching import fetch
from kitrec.llm.base.loading import load_for_training, load_tokenizer
from kitrec.llm.base.memory_plan import check_training
from kitrec.llm.base.pinning import FILE, read_pinned
from kitrec.llm.finetuning.adapters import save_adapter
from kitrec.llm.finetuning.answer_form import form_to_learn
from kitrec.llm.finetuning.arguments import training_load
from kitrec.llm.finetuning.dataset import TokenizedDataset, cached_dataset, tokenize_records
from kitrec.llm.finetuning.params import FineTune, Launch
from kitrec.llm.finetuning.results import training_metrics, write_curves
from kitrec.llm.finetuning.trainer import FineTuningJob, fine_tune
from kitrec.preprocessing.params import Data
from kitrec.prompts.params import Prompt
from kitrec.prompts.tokens import Encoder
from kitrec.schemas.items import ITEMS
from kitrec.schemas.records import RECORDS
from stages.lib import paths, runner, seeds


def main(model: str, quiet: runner.Quiet = runner.NO_TERMINAL) -> None:
    """Train the adapter of MODEL (target-variant, e.g. movies-full) on users with at least two target interactions."""
    # 1. Params and inputs
    seed, which = seeds.training_seed(), params.value(Data, "data.candidate_set")
    domains, prompt = params.load(Domains, "domains"), params.load(Prompt, "prompt")
    launch, p = params.load(Launch, "launch"), params.load(FineTune, "dualft")
    target, variant = model.split("-")
    sources = {role: paths.model_records(which, f"dualft-{target}", role) for role in ("train", "development")}
    reads = [FILE, paths.ITEMS, *sources.values()]
    with runner.running("train_dualft", model, reads=reads, params=[seed, which, domains, prompt, launch, p]) as run:
        # 2. The form of the answers to learn; records become tokenised datasets
        thinking = variant == "full"
        items = {row["item_id"]: row for row in tables.read(paths.ITEMS, ITEMS).iter_rows(named=True)}
        learned = form_to_learn(tables.read(sources["train"], RECORDS), items, prompt, thinking=thinking)
        tokenizer = load_tokenizer(base := read_pinned())
        encoder = Encoder(tokenizer)

        def tokenize(role: str) -> TokenizedDataset:
            records = tables.read(sources[role], RECORDS)
            return tokenize_records(records, items, encoder, prompt, thinking=thinking, seed=seed, domains=domains)

        train, development = (cached_dataset(partial(tokenize, role), run.work / f"{role}.parquet") for role in sources)
        # 3. The quantised base, which every training process loads and gives its LoRA layers
        fetch(base)
        longest = max(len(sample) for sample in [*train.samples, *development.samples])
        check_training(base, training_load(p, launch, longest), shrinks=True)
        job = FineTuningJob(
            run_name=f"dualft-{model}",
            load_base=partial(load_for_training, base, launch.base_weights, sharded=launch.sharded),
            pad_id=encoder.pad,
            train=train.samples,
            development=development.samples,
            seed=seed,
            checkpoints=run.work,
            logs=Path("logs"),
            quiet=quiet,
        )
        # 4. Training, resumed from the newest checkpoint
        result = fine_tune(job, p, launch)
        run.cost |= {"batch": result.batch_size, **result.throughput}  # smaller than configured where memory was short
        # 5. The adapter, its curves and its metrics
        origin = {"records": files.sha256(sources["train"]), "candidate_set": which, "candidates": train.candidates}
        origin |= {"prompt": prompt.form, "answer": learned.as_dict()}
        save_adapter(result.checkpoint, tokenizer, base, origin, paths.adapter("dualft", model))
        write_curves(result, Path(f"plots/training/{job.run_name}"))
        inputs = {"base": base.fingerprint, "data": {role: files.sha256(path) for role, path in sources.items()}}
        metrics = training_metrics(result, train, p, seed) | {"answer_form": learned.as_dict()} | inputs
        files.write_json(metrics, Path(f"metrics/train/{job.run_name}.json"))


if __name__ == "__main__":
    runner.start(main)
