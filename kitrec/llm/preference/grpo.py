"""Group relative policy optimisation by TRL (Shao et al. 2024, arXiv 2402.03300, eq. 3 and 4), rewarded by the ranking.

    r_i = 1 / rank of the truth in answer i of a prompt's G answers; 0 where it is not named
    A_i = (r_i - mean r) / (std r + 1e-4)
    J   = mean_i mean_t [ min(w A_i, clip(w, 1 - e, 1 + e) A_i) - beta KL(pi | ref) ],  w = pi(t) / pi_written(t)
pi: the adapter that learns; ref: a frozen copy of it as it was. Answers are drawn at temperature 1 from pi itself.
Deviation from TRL's own use: prompts come as token ids, so that its tokenisation is never a second one."""

from typing import Any

from datasets import Dataset
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer

from kitrec.llm.preference.dataset import Asked
from kitrec.llm.preference.params import Preference
from kitrec.llm.preference.trl_run import Preferred, Start, optimise
from kitrec.parsing.parser import parse

LOGGED = {"loss": "loss", "reward": "reward", "reward_std": "spread", "kl": "kl", "completions/clipped_ratio": "cut"}


def by_rewards(start: Start, asked: list[Asked], p: Preference) -> Preferred:
    """Let the adapter write, and make likelier what ranked the truth higher than its other answers did."""
    args = GRPOConfig(
        **start.options(p),
        num_generations=p.generations,
        max_completion_length=p.max_new_tokens,
        loss_type="grpo",
    )
    trainer = _Tokenised(
        model=start.model(),
        reward_funcs=reciprocal_ranks,
        args=args,
        train_dataset=Dataset.from_list(asked),
        processing_class=start.tokenizer,
    )
    return optimise(trainer, LOGGED, start.work)


def reciprocal_ranks(
    completions: list[str], truth: list[str], candidates: list[list[str]], **_: object
) -> list[float | None]:
    """The reward of every written answer."""
    written = [parse(text, of).item_ids for text, of in zip(completions, candidates, strict=True)]
    return [1 / (ids.index(item) + 1) if item in ids else 0.0 for ids, item in zip(written, truth, strict=True)]


class _Tokenised(GRPOTrainer):
    def _tokenize_prompts(self, prompts: list[list[int]]) -> tuple[list[list[int]], None, dict[str, Any]]:
        return prompts, None, {}
