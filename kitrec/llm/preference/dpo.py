"""Direct preference optimisation by TRL, from a fine-tuned adapter on (Rafailov et al. 2023, arXiv 2305.18290, eq. 7).

    L = -log sigma( beta [ log pi(w|x) / ref(w|x) - log pi(l|x) / ref(l|x) ] )
w, l: the chosen and the rejected output; pi: the adapter that learns; ref: a frozen copy of it as it was, on one base.
Deviation from TRL's own use: pairs come as token ids, so that its tokenisation is never a second one."""

from typing import Any

from datasets import Dataset
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer

from kitrec.llm.preference.dataset import Pair
from kitrec.llm.preference.params import Preference
from kitrec.llm.preference.trl_run import Preferred, Start, optimise

LOGGED = {"loss": "loss", "rewards/accuracies": "accuracy", "rewards/margins": "margin"}


def by_pairs(start: Start, pairs: list[Pair], p: Preference) -> Preferred:
    """Go on training until the adapter prefers what is to be chosen."""
    trainer = _Tokenised(
        model=start.model(),
        args=DPOConfig(**start.options(p), max_length=None),  # pairs fit already; a cut would take the answer
        train_dataset=Dataset.from_list(pairs),
        processing_class=start.tokenizer,
    )
    return optimise(trainer, LOGGED, start.work)


class _Tokenised(DPOTrainer):
    def _prepare_dataset(self, dataset: Dataset, *_: Any, **__: Any) -> Dataset:
        return dataset
