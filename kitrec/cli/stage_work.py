"""What the stages of the chosen params have to do, counted before anything runs: tokens, records, targets.

`kitrec doctor --hours` and `kitrec plan` divide these amounts by speeds: assumed ones, or measured ones. A count that
the params do not tell is a bound or comes from an earlier run; `guess` says which."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from kitrec.llm.generation.params import budgeted
from kitrec.recommenders.params import NonParametricMethod, SequenceMethod

Unit = Literal["trained", "read", "written", "scored", "made", "lines", "reviews", "sasrec", "bert4rec", "conet"]
UNITS: dict[Unit, str] = {
    "trained": "tokens trained on",
    "read": "tokens read",
    "written": "tokens written",
    "scored": "records scored",
    "made": "records of a synthetic world",
    "lines": "records read from files",
    "reviews": "reviews read",
    "sasrec": "targets of SASRec",
    "bert4rec": "targets of BERT4Rec",
    "conet": "positives of CoNet",
}
BUDGET_USED = 0.5  # assumed: share of its token budget that an answer takes
SCORING = 1.3  # assumed: reading an answered prompt once more, and the candidates behind it
SAMPLE_TOKENS = {"hub": 4500, "kitrec": 4500, "synthetic": 641}  # reference, and of the default run: with the answer
PUBLISHED = {"dualft": 12_000, "singleft": 3_000, "test": 30_000}  # records, of hub and files
REVIEWS = 51_600_000  # of Amazon's three categories


@dataclass(frozen=True)
class Work:
    """Amounts of a stage by unit; None: nobody counted its work."""

    amounts: Mapping[Unit, float] | None
    guess: str = ""

    def __str__(self) -> str:
        if self.amounts is None:
            return "not counted"
        return ", ".join(f"{amount:,.0f} {UNITS[unit]}" for unit, amount in self.amounts.items()) or "little"


def stage_work(s: Mapping[str, Any]) -> dict[str, Work]:
    """Return stage -> work of a run from nothing, by the names of metrics/cost; on both test sets."""
    return {
        "prepare": _preparation(s),
        **_training(s),
        **_inference(s),
        "rank_references": Work({}),
        **_recommenders(s),
        **{stage: Work(None) for stage in _uncounted(s)},
        "evaluate": Work({} if s["source"].kind == "synthetic" else None),
        "analyse": Work({} if s["source"].kind == "synthetic" else None),
    }


def token_budget(s: Mapping[str, Any], method: str) -> int:
    """Return the tokens that an answer of this method may take."""
    return budgeted(s["infer"].methods[method], s["infer"].budgets).max_new_tokens


def sample_tokens(s: Mapping[str, Any]) -> tuple[int, str]:
    """Return the tokens of a prompt with its answer, and where the number comes from."""
    known, longest = SAMPLE_TOKENS.get(s["source"].kind), int(s["prompt"].max_length)
    if known is None:
        return longest, "at most: prompt.max_length"
    origin = "default run, 20 candidates" if s["source"].kind == "synthetic" else "reference, 100 candidates"
    return min(known, longest), f"{known} tokens a sample: {origin}"


def records(s: Mapping[str, Any], role: str) -> int:
    """Return the records of one adapter's training, or of one test set."""
    if s["source"].kind in ("hub", "kitrec"):
        return PUBLISHED[role]
    if role == "test":
        return int(len(s["domains"].user_types) * s["users"].test)
    learning = s["users"].train * (1 - s["users"].development_share)
    return round(len(s["domains"].types_of(f"{role}-{s['domains'].targets[0]}")) * learning)


def _preparation(s: Mapping[str, Any]) -> Work:
    match s["source"].kind:
        case "synthetic":
            users = s["users"]
            return Work({"made": len(s["domains"].user_types) * (users.train + users.preference + users.test)})
        case "hub" | "kitrec":
            return Work({"lines": 2 * PUBLISHED["test"]})
        case "amazon":
            return Work({"reviews": REVIEWS}, "at most: all reviews of three categories")
        case _:
            return Work(None)


def _training(s: Mapping[str, Any]) -> dict[str, Work]:
    tokens, guess = sample_tokens(s)
    return {
        f"train_{family}-{target}-{variant}": Work({"trained": s[family].epochs * records(s, family) * tokens}, guess)
        for family in ("dualft", "singleft")
        for target in s["train"].targets
        for variant in s["train"].variants
    }


def _inference(s: Mapping[str, Any]) -> dict[str, Work]:
    tokens, guess = sample_tokens(s)
    answers, work = len(s["data"].test_sets) * records(s, "test"), {}
    for name, method in s["infer"].methods.items():
        written = BUDGET_USED * token_budget(s, name)
        calls = 3 if method.steps == "llm4cdr" else 1
        guesses = f"{guess}; answers of half their budget are assumed"
        work[f"infer_vllm-{name}"] = Work(
            {"read": calls * answers * tokens, "written": calls * answers * written}, guesses
        )
        scored: dict[Unit, float] = {"read": answers * SCORING * (tokens + written), "scored": answers}
        work[f"score_candidates-{name}"] = Work(scored, guesses)
        work[f"parse_answers-{name}"] = Work({})
    return work


def _recommenders(s: Mapping[str, Any]) -> dict[str, Work]:
    work = {}
    for name in s["idrec"].train:
        method = s["idrec"].methods[name]
        work[f"train_idrec-{name}"] = _recommender(s, method)
        work[f"infer_idrec-{name}"] = Work({} if s["source"].kind == "synthetic" else None)
    return work


def _recommender(s: Mapping[str, Any], method: Any) -> Work:
    """Return the targets of all epochs: of a synthetic world, whose means the params name."""
    if isinstance(method, NonParametricMethod) or s["source"].kind != "synthetic":
        return Work(None)
    learning = s["users"].train * (1 - s["users"].development_share) * len(s["domains"].user_types)
    targets = learning * (s["world"].mean_books_per_user + s["world"].mean_target_items_per_user / 3)
    kind = method.model.kind if isinstance(method, SequenceMethod) or method.model.kind == "conet" else None
    if kind not in ("sasrec", "bert4rec", "conet"):
        return Work(None)
    amount = s["idrec"].trials * method.training.epochs * targets
    return Work({kind: amount}, "at most: patience ends most trainings earlier")


def _uncounted(s: Mapping[str, Any]) -> list[str]:
    """Return the stages that are switched on and that nobody counts yet."""
    students, teachers = s["distillation"].students, s["distillation"].teachers
    pairs = [f"{name}-{teacher}" for name in students for teacher in teachers]
    return [
        *(f"score_rationales-{name}" for name in s["rationales"].methods),
        *(f"train_preference-{name}" for name in s["preference"].models),
        *(f"{stage}-{name}" for name in s["titles"].train for stage in ("train_titles", "rank_titles")),
        *(f"{stage}-{name}" for name in s["ilora"].encoders for stage in ("train_teacher_ilora", "infer_teacher")),
        *(f"{stage}-{name}" for name in students for stage in ("train_student", "rank_baseline")),
        *(f"{stage}-{pair}" for pair in pairs for stage in ("distill_student", "rank_student")),
        *(f"{stage}-{name}" for name in s["thinkrec"].train for stage in ("train_thinkrec", "infer_thinkrec")),
    ]
