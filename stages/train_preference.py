"""Train a fine-tuned adapter further by preferences or rewards.   python -m stages.train_preference dualft-movies
Reads the preference records and pairs, models/full/<model>; writes models/preferred/<model>, its curve and numbers."""

from pathlib import Path

import polars as pl

from kitrec.core import files, params, tables
from kitrec.core.domains import Domains
from kitrec.llm.base.loading import load_quantised, load_tokenizer
from kitrec.llm.base.memory_plan import TrainingLoad, check_training
from kitrec.llm.base.pinning import FILE, read_pinned
from kitrec.llm.finetuning.adapters import check_adapter, save_adapter
from kitrec.llm.finetuning.answer_form import answer_forms
from kitrec.llm.finetuning.origins import read_origin
from kitrec.llm.preference.dataset import preference_pairs, reward_prompts
from kitrec.llm.preference.dpo import train_dpo
from kitrec.llm.preference.grpo import train_grpo
from kitrec.llm.preference.params import Preference
from kitrec.llm.preference.trl_run import PreferenceJob, PreferenceResult
from kitrec.preprocessing.params import Data
from kitrec.prompts.params import Prompt
from kitrec.prompts.tokens import Encoder
from kitrec.schemas.items import ITEMS
from kitrec.schemas.preferences import PREFERENCES
from kitrec.schemas.records import RECORDS
from stages.lib import paths, runner, seeds


def main(model: str, quiet: runner.Quiet = runner.NO_TERMINAL) -> None:
    """Optimise the adapter of MODEL (e.g. dualft-movies) on the preference users of its types."""
    # 1. Params and inputs
    seed, which = seeds.training_seed(), params.value(Data, "data.candidate_set")
    domains, prompt = params.load(Domains, "domains"), params.load(Prompt, "prompt")
    p = params.load(Preference, "preference")
    source = paths.MODELS / "full" / model
    records, pairs = paths.set_records(which, "preference"), paths.of_set(paths.PREFERENCES, which)
    reads = [FILE, paths.ITEMS, records, pairs, source]
    with runner.running("train_preference", model, reads=reads, params=[seed, which, domains, prompt, p]) as run:
        # 2. The fine-tuned adapter, and the records of its users
        rank = check_adapter(source, base := read_pinned())["r"]
        answer_forms({model: source}, prompt)  # pairs and rewards of answers that begin otherwise are refused
        sequences = 2 * p.batch_size if p.method == "dpo" else p.batch_size  # chosen and rejected
        check_training(base, TrainingLoad("nf4", rank, sequences, prompt.max_length, True, whole_logits=True))
        tokenizer = load_tokenizer(base)
        items = {row["item_id"]: row for row in tables.read(paths.ITEMS, ITEMS).iter_rows(named=True)}
        rows = tables.read(records, RECORDS).filter(pl.col("user_type").is_in(domains.types_of(model)))
        # 3. Preference training, on pairs or on rewards
        encoder = Encoder(tokenizer)

        def start() -> PreferenceJob:
            return PreferenceJob(load_quantised(base), source, tokenizer, seed, run.work, quiet)

        if p.method == "dpo":
            pair_table = tables.read(pairs, PREFERENCES)
            dataset = preference_pairs(rows, pair_table, items, encoder, prompt, seed=seed, domains=domains)
            result = train_dpo(start(), dataset, p)
        else:
            dataset = reward_prompts(
                rows, items, encoder, prompt, max_new_tokens=p.max_new_tokens, seed=seed, domains=domains
            )
            result = train_grpo(start(), dataset, p)
        # 4. The adapter, its curve and its metrics
        origin = read_origin(source) | {"preference": p.method, "prompt": prompt.form}
        origin |= {"preference_data": files.sha256(pairs if p.method == "dpo" else records)}
        save_adapter(result.adapter, tokenizer, base, origin, paths.MODELS / "preferred" / model)
        _write_results(model, result, len(dataset))


def _write_results(model: str, result: PreferenceResult, records: int) -> None:
    """Write the curve as a plot and its last row as metrics."""
    curve = pl.DataFrame(result.log).with_columns(pl.selectors.float().round(6))
    with files.atomic(Path(f"plots/preference/{model}.csv")) as draft:
        curve.write_csv(draft)
    files.write_json({"records": records, **curve.row(-1, named=True)}, Path(f"metrics/preference/{model}.json"))


if __name__ == "__main__":
    runner.start(main)
