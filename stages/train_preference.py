"""Let a fine-tuned adapter prefer the truth, by pairs or by rewards.   python -m stages.train_preference dualft-movies
Reads the preference records and pairs, models/full/<model>; writes models/preferred/<model>, its curve and numbers."""

from pathlib import Path

import polars as pl

from kitrec.core import files, params, tables
from kitrec.core.domains import USER_TYPES
from kitrec.llm.base.loading import load_quantised, load_tokenizer
from kitrec.llm.base.pinning import FILE, read_pinned
from kitrec.llm.finetuning.adapters import check_adapter, save_adapter
from kitrec.llm.preference.dataset import asked_prompts, preference_pairs
from kitrec.llm.preference.dpo import by_pairs
from kitrec.llm.preference.grpo import by_rewards
from kitrec.llm.preference.params import Preference
from kitrec.llm.preference.trl_run import Preferred, Start
from kitrec.preprocessing.params import Data
from kitrec.prompts.params import Prompt
from kitrec.prompts.tokens import Encoder
from kitrec.schemas.items import ITEMS
from kitrec.schemas.preferences import PREFERENCES
from kitrec.schemas.records import RECORDS
from stages.lib import paths, runner


def main(model: str, quiet: runner.Quiet = runner.NOBODY_WATCHES) -> None:
    """Optimise the adapter of MODEL (e.g. dualft-movies) on the preference users of its types."""
    seed, prompt = params.load(int, "seed"), params.load(Prompt, "prompt")
    which = params.value(Data, "data.candidate_set")
    p = params.load(Preference, "preference")
    started_from = Path("models/full") / model
    records, pairs = paths.set_records(which, "preference"), Path(f"data/preferences/set{which}.parquet")
    reads = [FILE, paths.ITEMS, records, pairs, started_from]
    with runner.running("train_preference", model, reads=reads, params=[seed, which, prompt, p]) as run:
        base = read_pinned()
        check_adapter(started_from, base)
        tokenizer = load_tokenizer(base)
        items = {row["item_id"]: row for row in tables.read(paths.ITEMS, ITEMS).iter_rows(named=True)}
        types = [name for name, user_type in USER_TYPES.items() if user_type.model == model]
        own = tables.read(records, RECORDS).filter(pl.col("user_type").is_in(types))
        encoder = Encoder(tokenizer)
        start = Start(load_quantised(base), started_from, tokenizer, seed, run.work, quiet)
        if p.method == "dpo":
            learned = preference_pairs(own, tables.read(pairs, PREFERENCES), items, encoder, prompt, seed=seed)
            preferred = by_pairs(start, learned, p)
        else:
            learned = asked_prompts(own, items, encoder, prompt, answer=p.max_new_tokens, seed=seed)
            preferred = by_rewards(start, learned, p)
        origin = files.read_json(started_from / "origin.json") | {"preference": p.method}
        origin |= {"preference_data": files.sha256(pairs if p.method == "dpo" else records)}
        save_adapter(preferred.adapter, tokenizer, base, origin, Path("models/preferred") / model)
        _write_record(model, preferred, len(learned))


def _write_record(model: str, preferred: Preferred, records: int) -> None:
    """The curve as a plot, the last figures as metrics."""
    curve = pl.DataFrame(preferred.log).with_columns(pl.selectors.float().round(6))
    with files.atomic(Path(f"plots/preference/{model}.csv")) as draft:
        curve.write_csv(draft)
    files.write_json({"records": records, **curve.row(-1, named=True)}, Path(f"metrics/preference/{model}.json"))


if __name__ == "__main__":
    runner.start(main)
