"""Training of the title model: every target title of a history is learned, in rounds of updates.

A sample ends with a target item that is drawn for each pass over the users (samples.py); target titles before it are
learned as well, and a sample that hides them learns the last alone. NDCG@10 of the development records, by the best
calibration of each round, chooses the round; the base as it is competes as round 0."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kitrec.llm.likelihood.shared_prefix import batches
from kitrec.titles.calibration import CALIBRATION, METRIC, calibration_row
from kitrec.titles.lines import LearnedText
from kitrec.titles.params import Title
from kitrec.titles.rounds import OnRound, Rounds, Trained, TrainingData, fit_rounds, new_state, trained
from kitrec.titles.samples import Passes, item_shares
from kitrec.titles.title_model import TitleModel, TitleScorer
from kitrec.training.state import Row

MICRO_TOKENS = 512  # padded tokens of a forward pass: texts of similar length, so that little of it is padding
_PHASE = "adapter"


def train_title(model: TitleModel, p: Title, data: TrainingData, on_round: OnRound) -> Trained:
    """Train from the checkpoint, if there is one, and leave the best weights in place."""
    if not p.training.updates:
        return trained([], len(data.sequences), validation_row(model, data))
    rows = _train(model, p, data, on_round)
    best = max(rows, key=lambda row: row[METRIC])
    return trained(rows, len(data.sequences), {name: best[name] for name in (METRIC, *CALIBRATION)})


def validation_row(model: TitleModel, data: TrainingData) -> Row:
    """Return NDCG@10 of development records at the best calibration, and that calibration."""
    scorer = TitleScorer(model, item_shares(data.sequences, model.lines.catalogue.is_target))
    return calibration_row(scorer.evidence(data.development), data.development.ground_truth)


def _train(model: TitleModel, p: Title, data: TrainingData, on_round: OnRound) -> list[Row]:
    is_target = model.lines.catalogue.is_target
    passes = Passes(data.sequences, is_target, p.history, p.training.batch_size, data.seed, ("title samples",))
    state = new_state(model.llm, model.adapter().values(), p.training, model.adapter)
    gradients = Gradients(model, passes)
    rounds = Rounds(state.optimizer, p.training, gradients, model.train, (data.seed, "title dropout", _PHASE))
    rows = fit_rounds(
        rounds,
        lambda: validation_row(model, data),
        state,
        data.work / _PHASE,
        lambda progress: on_round(_PHASE, progress),
        validate_start=True,
    )
    model.train(False)
    return rows


@dataclass(frozen=True)
class Gradients:
    """The gradients of an update."""

    model: TitleModel
    passes: Passes

    def texts(self, number: int) -> list[LearnedText]:
        """Return the texts of an update."""
        samples = self.passes.batch(number)
        lines = self.model.lines
        return [
            lines.learned(history.tolist(), int(item))
            for history, item in zip(samples.histories, samples.items, strict=True)
        ]

    def __call__(self, number: int) -> float:
        """Add the gradients of an update (from 0); return its loss per learned token."""
        return add_gradients(self.model, self.texts(number))


def add_gradients(model: TitleModel, texts: Sequence[LearnedText]) -> float:
    """Add the gradients of texts, a few at a time; return the loss per learned token."""
    tokens, total = int(np.sum([text.learned.sum() for text in texts])), 0.0
    for part in batches([len(text) for text in texts], MICRO_TOKENS):
        loss = model.loss([texts[k] for k in part]) / tokens
        loss.backward()
        total += loss.item()
    return total
