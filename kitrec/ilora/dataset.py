"""Tokenized tasks: prompts for training and for candidate scoring, each with the embedding of its user."""

from dataclasses import dataclass

import polars as pl
import torch

from kitrec.ilora.prompts import PromptBuilder, TokenizedPrompt, to_sample
from kitrec.ilora.sequence_encoder import SequenceEncoder
from kitrec.llm.finetuning.dataset import Sample
from kitrec.schemas.teacher_lists import KEY


@dataclass(frozen=True)
class TokenizedDataset:
    """Training samples in the order of their tasks; `user_embeddings` [rows, d]."""

    samples: list[Sample]
    user_embeddings: torch.Tensor

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def lengths(self) -> list[int]:
        return [len(sample) for sample in self.samples]


@dataclass(frozen=True)
class CandidateScoringDataset:
    """Prompts whose candidates are to be scored, in the order of their tasks; `user_embeddings` [rows, d]."""

    prompts: list[TokenizedPrompt]
    user_embeddings: torch.Tensor


def scoring_dataset(tasks: pl.DataFrame, builder: PromptBuilder, encoder: SequenceEncoder) -> CandidateScoringDataset:
    """Tokenize the prompt and the candidate answers of every task."""
    prompts = [
        builder.build(row["history"], row["candidates"], row["ground_truth"])
        for row in tasks.select("history", "candidates", "ground_truth").iter_rows(named=True)
    ]
    return CandidateScoringDataset(prompts, encoder.encode(tasks["history"].to_list()))


def training_dataset(tasks: pl.DataFrame, builder: PromptBuilder, encoder: SequenceEncoder) -> TokenizedDataset:
    """Tokenize the prompt and the correct answer of every task."""
    scoring = scoring_dataset(tasks, builder, encoder)
    keys = ("/".join(map(str, key)) for key in tasks.select(KEY).iter_rows())
    samples = [to_sample(prompt, key) for prompt, key in zip(scoring.prompts, keys, strict=True)]
    return TokenizedDataset(samples, scoring.user_embeddings)
