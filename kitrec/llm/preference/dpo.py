"""Direct preference optimisation of a fine-tuned adapter by TRL (Rafailov et al. 2023, arXiv 2305.18290, eq. 7).

    L = -log sigma( beta [ log pi(w|x) / ref(w|x) - log pi(l|x) / ref(l|x) ] )
w, l: the chosen and the rejected output; pi: the trained adapter; ref: a frozen copy of its start, on the same base.
Deviation from TRL's usual input: pairs are token ids, so that TRL never tokenises."""

from typing import Any

from datasets import Dataset
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer

from kitrec.llm.preference.dataset import Pair
from kitrec.llm.preference.params import Preference
from kitrec.llm.preference.trl_run import PreferenceJob, PreferenceResult, run_trainer

LOGGED = {"loss": "loss", "rewards/accuracies": "accuracy", "rewards/margins": "margin"}


def train_dpo(job: PreferenceJob, pairs: list[Pair], p: Preference) -> PreferenceResult:
    """Train the adapter to prefer the chosen outputs."""
    trainer = _TokenizedDPOTrainer(
        model=job.model(),
        args=DPOConfig(**job.options(p), max_length=None),  # pairs fit already; a cut would take the answer
        train_dataset=Dataset.from_list(pairs),
        processing_class=job.tokenizer,
    )
    return run_trainer(trainer, LOGGED, job.work)


class _TokenizedDPOTrainer(DPOTrainer):
    def _prepare_dataset(self, dataset: Dataset, *_: Any, **__: Any) -> Dataset:
        return dataset
