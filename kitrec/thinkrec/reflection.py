"""Learning from mistakes: a teacher explains the training records that the model mispredicts, and the model learns on.

    round: training records with P(Yes) on the wrong side of 1/2, at most `max_mistakes`, the most confident first
           -> the teacher, given the correct and the wrong answer, explains them -> new reasoning samples
           -> the model learns on, with these in place of the first rationales -> the validation decides
A round that does not raise the validation AUC is reported, its samples and weights are discarded, and the loop ends.
`reflect_text_stage` applies the loop to the general adapter: text/ learns from its mistakes, or stays as it was."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from kitrec.core.randomness import derived_seed
from kitrec.llm.finetuning.lora import adapter_weights
from kitrec.prompts.tokens import Encoder
from kitrec.thinkrec.conversion import Teacher, with_reasons
from kitrec.thinkrec.model import ThinkModel
from kitrec.thinkrec.params import Reflection, TextStage
from kitrec.thinkrec.records import Record, write_records
from kitrec.thinkrec.samples import samples, verdict_tokens
from kitrec.thinkrec.stage_training import StageData
from kitrec.thinkrec.storage import GENERAL, load_adapters, save_stage
from kitrec.thinkrec.training import SELECTION, Stage, train_stage
from kitrec.thinkrec.yes_no_ranking import TransformersScorer, make_validator
from kitrec.training.state import copy_tensors

REFLECTED = "reflected.jsonl"  # the explained mistakes of the rounds that helped, with their provenance


@dataclass(frozen=True)
class ReflectionRound:
    number: int
    mistakes: int  # among all training records
    requested: int  # rationales
    learned: int
    dropped: dict[str, int]
    before: float  # validation AUC
    after: float

    @property
    def improved(self) -> bool:
        """Whether the round raised the validation AUC."""
        return self.after > self.before


@dataclass(frozen=True)
class ReflectionResult:
    rounds: list[ReflectionRound]
    samples: list[Record]  # of the rounds that helped


@dataclass(frozen=True)
class ReflectionLoop:
    """The steps of a round: predict P(Yes), explain mistakes, learn from them (or undo that), validate the AUC."""

    predict: Callable[[Sequence[Record]], np.ndarray]
    teacher: Teacher
    learn: Callable[[Sequence[Record], int], Callable[[], None]]  # samples, round -> undo
    validate: Callable[[], float]


def reflect(records: Sequence[Record], loop: ReflectionLoop, p: Reflection) -> ReflectionResult:
    """Run at most `rounds` rounds over the recommendation records that are answered by Yes or No."""
    candidates = [record for record in records if record.mode == "v2" and record.answer == "yes_no"]
    rounds, kept, best = [], list[Record](), loop.validate()
    for number in range(1, p.rounds + 1):
        wrong = mispredicted(candidates, loop.predict(candidates))
        explained, dropped = with_reasons(wrong[: p.max_mistakes], loop.teacher, mistaken=True)
        explained = [replace(r, provenance=f"reflection {number}, {r.provenance}") for r in explained]
        requested = min(len(wrong), p.max_mistakes)
        if not explained:
            rounds.append(ReflectionRound(number, len(wrong), requested, 0, dropped, best, best))
            break
        undo = loop.learn([*kept, *explained], number)
        after = loop.validate()
        rounds.append(ReflectionRound(number, len(wrong), requested, len(explained), dropped, best, after))
        if not rounds[-1].improved:
            undo()
            break
        best, kept = after, [*kept, *explained]
    return ReflectionResult(rounds, kept)


def mispredicted(records: Sequence[Record], probabilities: np.ndarray) -> list[Record]:
    """Return the records on the wrong side of 1/2, the most confident mistakes first."""
    labels = np.array([record.label for record in records])
    errors = np.abs(labels - probabilities)
    order = np.argsort(-errors, kind="stable")
    return [records[k] for k in order if (probabilities[k] > 0.5) != labels[k]]


def reflect_text_stage(data: StageData, p: TextStage, teacher: Teacher) -> ReflectionResult:
    """Run reflection after stage `text`; text/ is rewritten if a round helped."""
    llm = load_adapters(data.load_base(), [GENERAL], data.base, data.folder, GENERAL)
    model = ThinkModel(llm.eval(), None, verdict_tokens(Encoder(data.tokenizer)))
    scorer = TransformersScorer(model, data.composer(vectors=False), data.objective)
    validate = make_validator(scorer, data.valid)
    learner = _Learner(data, p, model, validate)
    loop = ReflectionLoop(scorer.score_records, teacher, learner.learn, lambda: validate()[SELECTION.metric])
    result = reflect(data.train, loop, p.reflection)
    if result.samples:
        origin = {"stage": "reflection", "rounds": len(result.rounds), "samples": len(result.samples)}
        save_stage(llm, GENERAL, data.tokenizer, data.base, origin, data.folder / GENERAL)
        write_records(result.samples, data.folder / GENERAL / REFLECTED)
    return result


def reflection_metrics(data: StageData, p: TextStage, teacher: Teacher) -> list[dict[str, object]]:
    """Run the rounds that the params allow and return one dictionary per round."""
    rounds = reflect_text_stage(data, p, teacher).rounds if p.reflection.rounds else []
    return [asdict(row) | {"improved": row.improved} for row in rounds]


@dataclass(frozen=True)
class _Learner:
    """Continues training with the config of stage `text`, and can undo it."""

    data: StageData
    p: TextStage
    model: ThinkModel
    validate: Callable[[], dict[str, float]]

    def learn(self, reasons: Sequence[Record], number: int) -> Callable[[], None]:
        """Train on the recommendation records and on the explained mistakes in place of the first rationales."""
        data, tensors = self.data, adapter_weights(self.model.llm, GENERAL)
        before = {name: tensor.detach().clone() for name, tensor in tensors.items()}
        plain = [record for record in data.train if record.mode == "v2"]
        composer, encoder = data.composer(vectors=False), Encoder(data.tokenizer)
        stage_samples = samples([*plain, *reasons], composer, encoder, derived_seed(data.seed, "reflection", number))
        name = f"reflection-{number}"
        stage = Stage(name, stage_samples, self.p.training, data.objective, data.seed, data.work / name)
        train_stage(self.model, tensors, stage, self.validate, lambda progress: data.on_validation(name, progress))

        def undo() -> None:
            copy_tensors(tensors, before)

        return undo
