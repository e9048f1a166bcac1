"""The title model: a base with its adapter that reads histories as text and gives titles their likelihoods.

    L = - Σ_t log p(y_t | y_<t) / N      t: the N tokens of target titles, ends of lines included
Logits exist only at the positions that predict such tokens (kitrec/llm/finetuning/frozen_head_loss.py). Titles of
candidates are continuations of one text, read once (kitrec/llm/likelihood/shared_prefix.py)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from kitrec.core.randomness import derived_seed
from kitrec.llm.base.layers import decoder_of, refuse_biased_head
from kitrec.llm.base.loading import load_base
from kitrec.llm.base.pinning import PinnedBase
from kitrec.llm.finetuning.frozen_head_loss import summed_loss
from kitrec.llm.finetuning.light_lora import use_light_layers
from kitrec.llm.finetuning.lora import adapter_weights, with_adapter
from kitrec.llm.likelihood import shared_prefix
from kitrec.llm.likelihood.shared_prefix import batches
from kitrec.llm.likelihood.trie import ScoringRequest
from kitrec.titles.calibration import Evidence, log_shares
from kitrec.titles.lines import LearnedText, Lines
from kitrec.titles.params import ADAPTER, Title
from kitrec.titles.questions import Questions

PART_TOKENS = 16_384  # tokens of texts and candidates that are scored together
TITLES_ALONE = 64  # titles without a history in a tree


@dataclass
class TitleModel:
    llm: Any  # a PEFT model
    lines: Lines

    def adapter(self) -> dict[str, torch.nn.Parameter]:
        """Return the adapter's weights by name."""
        return adapter_weights(self.llm, ADAPTER)

    def train(self, mode: bool = True) -> None:
        """Switch between training (dropout) and inference."""
        self.llm.train(mode)

    def loss(self, texts: Sequence[LearnedText]) -> torch.Tensor:
        """Return the summed loss of texts, padded on the right, where causal attention never looks."""
        width, device = max(map(len, texts)), self.llm.device
        ids, learned = np.zeros((len(texts), width), dtype=np.int64), np.zeros((len(texts), width), dtype=bool)
        for row, text in enumerate(texts):
            ids[row, : len(text)], learned[row, : len(text)] = text.ids, text.learned
        tokens, predicted = torch.from_numpy(ids).to(device), torch.from_numpy(learned[:, 1:]).to(device)
        hidden = decoder_of(self.llm)(input_ids=tokens, use_cache=False).last_hidden_state[:, :-1]
        head = self.llm.get_output_embeddings().weight
        return summed_loss(head, hidden[predicted], tokens[:, 1:][predicted], 0.0)


def new_title_model(p: Title, base: PinnedBase, lines: Lines, seed: int) -> TitleModel:
    """Return a model with initial weights: its adapter changes nothing yet."""
    llm = load_base(base, p.base_weights)
    refuse_biased_head(llm)
    with torch.random.fork_rng():
        torch.manual_seed(derived_seed(seed, "title weights"))
        llm = with_adapter(llm, p.adapter, ADAPTER)
    use_light_layers(llm)
    return TitleModel(llm, lines)


@dataclass
class TitleScorer:
    """Likelihoods by a model as it is now; a title's own likelihood is computed once."""

    model: TitleModel
    shares: np.ndarray  # of each item in training [N + 1]
    _alone: dict[tuple[int, ...], float] = field(default_factory=dict)  # by the tokens of the line

    def evidence(self, questions: Questions) -> Evidence:
        """Return of all candidates the likelihoods with the history and without it, tokens and shares."""
        self.model.train(False)
        lines = self.model.lines
        requests = [
            ScoringRequest(lines.question(history.tolist(), int(numbers[0])), self._titles(numbers), None)
            for history, numbers in zip(questions.histories, questions.candidates, strict=True)
        ]
        self._add_alone(np.unique(np.concatenate(questions.candidates)))
        alone = [np.array([self._alone[self._line(k)] for k in numbers]) for numbers in questions.candidates]
        tokens = [np.array([len(title) for title in request.continuations]) for request in requests]
        return Evidence(self._scored(requests), alone, tokens, log_shares(questions.candidates, self.shares))

    def _add_alone(self, numbers: np.ndarray) -> None:
        """Compute the likelihoods of titles behind their label alone, each distinct line once."""
        new = {self._line(k): int(k) for k in numbers if self._line(k) not in self._alone}
        by_label: dict[tuple[int, ...], list[int]] = {}
        for k in new.values():
            by_label.setdefault(tuple(self.model.lines.labels[k]), []).append(k)
        parts = [same[at : at + TITLES_ALONE] for same in by_label.values() for at in range(0, len(same), TITLES_ALONE)]
        requests = [
            ScoringRequest(self.model.lines.question([], part[0]), self._titles(np.array(part)), None) for part in parts
        ]
        for part, values in zip(parts, self._scored(requests), strict=True):
            self._alone |= {self._line(k): float(value) for k, value in zip(part, values, strict=True)}

    def _scored(self, requests: Sequence[ScoringRequest]) -> list[np.ndarray]:
        scores = [np.empty(0)] * len(requests)
        lengths = [len(request.prefix) + sum(map(len, request.continuations)) for request in requests]
        for part in batches(lengths, PART_TOKENS):
            values = shared_prefix.likelihoods(self.model.llm, [requests[k] for k in part])
            for k, value in zip(part, values, strict=True):
                scores[k] = value
        return scores

    def _titles(self, numbers: np.ndarray) -> list[list[int]]:
        return [self.model.lines.title(int(number)) for number in numbers]

    def _line(self, number: int) -> tuple[int, ...]:
        return (*self.model.lines.labels[number], *self.model.lines.title(number))
