"""Group relative policy optimisation by TRL (Shao et al. 2024, arXiv 2402.03300, eq. 3 and 4), rewarded by the ranking.

    r_i = 1 / rank of the held-out item in answer i of a prompt's G answers; 0 where it is not named
    A_i = (r_i - mean r) / (std r + 1e-4)
    J   = mean_i mean_t [ min(w A_i, clip(w, 1 - e, 1 + e) A_i) - beta KL(pi | ref) ],  w = pi(t) / pi_written(t)
pi: the trained adapter; ref: a frozen copy of its start. Answers are sampled from pi at temperature 1.
Deviation from TRL's usual input: prompts are token ids, so that TRL never tokenises."""

from typing import Any

from datasets import Dataset
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer

from kitrec.llm.preference.dataset import RewardPrompt
from kitrec.llm.preference.params import Preference
from kitrec.llm.preference.trl_run import PreferenceJob, PreferenceResult, run_trainer
from kitrec.parsing.parser import parse

LOGGED = {"loss": "loss", "reward": "reward", "reward_std": "spread", "kl": "kl", "completions/clipped_ratio": "cut"}


def train_grpo(job: PreferenceJob, prompts: list[RewardPrompt], p: Preference) -> PreferenceResult:
    """Train the adapter on its own answers, rewarded by the rank of the held-out item."""
    args = GRPOConfig(
        **job.options(p),
        num_generations=p.num_generations,
        max_completion_length=p.max_new_tokens,
        loss_type="grpo",
    )
    trainer = _TokenizedGRPOTrainer(
        model=job.model(),
        reward_funcs=reciprocal_ranks,
        args=args,
        train_dataset=Dataset.from_list(prompts),
        processing_class=job.tokenizer,
    )
    return run_trainer(trainer, LOGGED, job.work)


def reciprocal_ranks(
    completions: list[str], ground_truth: list[str], candidates: list[list[str]], **_: object
) -> list[float | None]:
    """Return the reward of every completion."""
    rankings = [parse(text, shown).item_ids for text, shown in zip(completions, candidates, strict=True)]
    return [1 / (ids.index(item) + 1) if item in ids else 0.0 for ids, item in zip(rankings, ground_truth, strict=True)]


class _TokenizedGRPOTrainer(GRPOTrainer):
    def _tokenize_prompts(self, prompts: list[list[int]]) -> tuple[list[list[int]], None, dict[str, Any]]:
        return prompts, None, {}
