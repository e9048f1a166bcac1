"""The reflection loop on the general adapter: text/ learns from its mistakes, or stays what it was."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from kitrec.core.randomness import derived_seed
from kitrec.prompts.tokens import Encoder
from kitrec.thinkrec.conversion import Teacher
from kitrec.thinkrec.model import ThinkModel, adapter_weights
from kitrec.thinkrec.params import TextStage
from kitrec.thinkrec.records import Record, write_records
from kitrec.thinkrec.reflection import Loop, Reflected, reflect
from kitrec.thinkrec.samples import samples, verdicts
from kitrec.thinkrec.stage_training import StageData
from kitrec.thinkrec.storage import GENERAL, load_adapters, save_stage
from kitrec.thinkrec.training import SELECTION, Stage, train_stage
from kitrec.thinkrec.yes_no_ranking import Asker, judge_of
from kitrec.training.state import copy_tensors

REFLECTED = "reflected.jsonl"  # the corrected mistakes of the rounds that helped, with their provenance


def train_reflection(given: StageData, p: TextStage, teacher: Teacher) -> Reflected:
    """Rounds after stage `text`; text/ is written again if a round helped."""
    llm = load_adapters(given.load_base(), [GENERAL], given.base, given.folder, GENERAL)
    model = ThinkModel(llm.eval(), None, verdicts(Encoder(given.tokenizer)))
    composer = given.composer(vectors=False)
    asker = Asker(model, composer, given.objective)
    judge = judge_of(asker, given.valid)
    loop = Loop(asker.flat, teacher, _Learner(given, p, model, judge).learn, lambda: judge()[SELECTION.metric])
    found = reflect(given.train, loop, p.reflection)
    if found.samples:
        told = {"stage": "reflection", "rounds": len(found.rounds), "samples": len(found.samples)}
        save_stage(llm, GENERAL, given.tokenizer, given.base, told, given.folder / GENERAL)
        write_records(found.samples, given.folder / GENERAL / REFLECTED)
    return found


def reflected(given: StageData, p: TextStage, teacher: Teacher) -> list[dict[str, object]]:
    """The rounds that the params allow, as numbers to tell."""
    rounds = train_reflection(given, p, teacher).rounds if p.reflection.rounds else []
    return [asdict(own) | {"improved": own.improved} for own in rounds]


@dataclass(frozen=True)
class _Learner:
    """Learns on with the course of stage `text`, and knows how to undo it."""

    given: StageData
    p: TextStage
    model: ThinkModel
    judge: Callable[[], dict[str, float]]

    def learn(self, reasons: Sequence[Record], number: int) -> Callable[[], None]:
        """The training records; its reasoning samples are the corrected mistakes so far, none of the first reasons."""
        given, tensors = self.given, adapter_weights(self.model.llm, GENERAL)
        before = {name: own.detach().clone() for name, own in tensors.items()}
        plain = [own for own in given.train if own.mode == "v2"]
        composer, encoder = given.composer(vectors=False), Encoder(given.tokenizer)
        own = samples([*plain, *reasons], composer, encoder, derived_seed(given.seed, "reflection", number))
        name = f"reflection-{number}"
        stage = Stage(name, own, self.p.course, given.objective, given.seed, given.work / name)
        train_stage(self.model, tensors, stage, self.judge, lambda progress: given.on_validation(name, progress))

        def undo() -> None:
            copy_tensors(tensors, before)

        return undo
