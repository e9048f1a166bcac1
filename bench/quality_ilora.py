"""How good is the teacher beside its own eyes?   python -m bench.quality_ilora sasrec_ce 5

LLaRA's protocol on lastfm_ilora: a window of at least three and at most ten artists, 20 candidates (the next one and 19
that are not in the window), HitRatio@1 and ValidRatio over all 122 test windows. The lists are drawn once and are the
same for all; for models that cost nothing the mean over 200 further draws is told too, since one hit is .008 here.
The validation windows alone choose epochs. `teacher` takes the shipped tiny base, whose words are not those of artists.
Runs are kept in bench/results/ilora_runs; without arguments the table is written from what is there."""

import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from bench.claims import RESULTS, Claim, at_least, publish
from bench.public_data import folder, items
from bench.seqrec_settings import CE, FAST, course, method
from kitrec.core import files
from kitrec.core.errors import InputError
from kitrec.core.randomness import generator
from kitrec.ilora import params as ilora
from kitrec.ilora.dataset import Questions, questions_of
from kitrec.ilora.hit_ratio import scored_ratio, written_ratios
from kitrec.ilora.learning import TrainingData, train_teacher, writer_for
from kitrec.ilora.scoring import likelihoods, without_words, written
from kitrec.ilora.sequence_encoder import Eyes
from kitrec.ilora.storage import load_teacher
from kitrec.ilora.tasks import tasks_of
from kitrec.ilora.teacher import Teacher
from kitrec.ilora.training import planned_stretches
from kitrec.llm.base.loading import load_tokenizer
from kitrec.llm.base.pinning import PinnedBase, pin
from kitrec.llm.base.precision import load_in
from kitrec.llm.finetuning.params import Base
from kitrec.prompts.tokens import Encoder
from kitrec.recommenders.data.interaction_files import Interactions, read_interactions
from kitrec.recommenders.data.item_metadata import Known
from kitrec.recommenders.data.sequences import of_lists
from kitrec.recommenders.params import Loss, Method, SASRec
from kitrec.recommenders.sequence_training import SELECTION_METRIC, Validation, train_sequence_model
from kitrec.recommenders.storage import StoredModel
from kitrec.training.progress import training_bar

DATA, SHORTEST, SHOWN, LISTED, DRAWS = "lastfm_ilora", 3, 10, 20, 200
RUNS = RESULTS / "ilora_runs"
PUBLISHED = 0.2233  # SASRec in LLaRA's Table 2
TASKS = 1_000  # windows of training sessions the teacher learns from


def _sasrec(dropout: float) -> SASRec:
    return SASRec(kind="sasrec", hidden=64, heads=2, layers=2, length=50, dropout=dropout)


SETTINGS: dict[str, Method] = {
    "sasrec_ce": method(_sasrec(0.5), CE, course(200, 15, batch=64, **FAST)),
    "sasrec_bce": method(_sasrec(0.5), Loss(kind="bce", negatives=1, calibration=0.0), course(300, 20, batch=64)),
}
TEACHER = ilora.Ilora(
    base_weights="bf16",
    mixture=ilora.Mixture(experts=4, rank=8, alpha=16.0, dropout=0.05, gate=ilora.Dense(kind="dense")),
    choice=ilora.Choice(history=SHOWN, answer="title", hybrid=True, max_length=2048),
    course=ilora.Course(
        epochs=1,
        batch=8,
        accumulation=2,
        learning_rate=2e-3,
        gate_rate=0.3,
        weight_decay=0.0,
        warmup=0.05,
        max_grad_norm=1.0,
        judge_every=21,
        patience=5,
        gradient_checkpointing=False,
        curriculum=ilora.Curriculum(text_until=0.0, hybrid_from=0.2),
    ),
    per_token=False,
)


@dataclass(frozen=True)
class Data:
    """Training sessions, and windows (history and next item) by kind, all as item ids."""

    sessions: Interactions
    windows: dict[str, dict[str, list[str]]]

    def tasks(self, kind: str) -> pl.DataFrame:
        """The frozen lists of a kind of windows."""
        own = self.windows[kind]
        places = {name: [len(items) - 1] for name, items in own.items()}
        return tasks_of(own, places, "", self.sessions.vocabulary.item_ids, LISTED, seed=0)


def main(arguments: list[str]) -> None:
    """Run what is asked for, then write the table."""
    if arguments:
        known: dict[str, Callable[[Data, str, int], dict[str, Any]]] = dict.fromkeys(SETTINGS, _eyes_run)
        known["teacher"] = _teacher_run
        if len(arguments) != 2 or arguments[0] not in known:
            raise InputError(f"give one of {', '.join(known)} and a number of seeds")
        data = _read()
        for seed in range(int(arguments[1])):
            target = RUNS / f"{arguments[0]}-{seed}.json"
            if not target.exists():
                files.write_json(known[arguments[0]](data, arguments[0], seed), target)
    _publish()


def _read() -> Data:
    def windows(kind: str) -> dict[str, list[str]]:
        table = pl.read_csv(folder(DATA) / f"{kind}_windows.tsv", separator="\t", infer_schema=False)
        rows = [[*(own["history"] or "").split(), own["next"]] for own in table.iter_rows(named=True)]
        return {f"{kind}-{k}": row for k, row in enumerate(rows) if len(row) > SHORTEST}

    sessions = read_interactions(folder(DATA) / "interactions.tsv")
    return Data(sessions, {kind: windows(kind) for kind in ("valid", "test")})


def _fit(data: Data, name: str, seed: int) -> tuple[StoredModel, dict[str, float]]:
    vocabulary = data.sessions.vocabulary
    judged = [vocabulary.numbers(pl.Series(own)) for own in data.windows["valid"].values()]
    validation = Validation(of_lists(own[:-1] for own in judged), np.array([own[-1] for own in judged]))
    p = SETTINGS[name]
    with (
        tempfile.TemporaryDirectory() as work,
        training_bar(f"{name} {seed}", p.course.epochs, SELECTION_METRIC, quiet=False) as told,
    ):
        fitted = train_sequence_model(
            p, Known(), len(vocabulary), data.sessions.sequences, validation, seed, Path(work), told
        )
    counts = np.bincount(data.sessions.sequences.items, minlength=len(vocabulary) + 1).astype(np.float32)
    return StoredModel(fitted.model, vocabulary, counts, fitted.metrics()), fitted.metrics()


def _eyes_run(data: Data, name: str, seed: int) -> dict[str, Any]:
    began = time.perf_counter()
    stored, told = _fit(data, name, seed)
    tasks = data.tasks("test")
    return {
        "hit_ratio@1": round(_hits(stored, tasks, tasks["candidates"].to_list()), 5),
        "hit_ratio@1_mean_of_draws": round(_hits(stored, tasks, _more_lists(data)), 5),
        "valid_ratio": 1.0,
        "samples": tasks.height,
        "epoch": told["epoch"],
        "minutes": round((time.perf_counter() - began) / 60, 2),
    }


def _more_lists(data: Data) -> list[list[str]]:
    """DRAWS further lists for each test window, one window after the other, the truth first."""
    pool, rng, found = data.sessions.vocabulary.item_ids, generator(0, "further lists"), []
    for own in data.windows["test"].values():
        others = [k for k, item in enumerate(pool) if item not in own]
        found += [[own[-1], *(pool[k] for k in rng.choice(others, LISTED - 1, replace=False))] for _ in range(DRAWS)]
    return found


def _hits(stored: StoredModel, tasks: pl.DataFrame, lists: list[list[str]]) -> float:
    """HitRatio@1 of a model over item numbers; each task owns as many lists as there are for one."""
    number = {item: k for k, item in enumerate(stored.vocabulary.item_ids, start=1)}
    each = len(lists) // tasks.height
    histories = of_lists([number[i] for i in own] for own in tasks["history"].to_list() for _ in range(each))
    candidates = np.array([[number[item] for item in listed] for listed in lists])
    truths = [listed.index(truth) for k, truth in enumerate(tasks["truth"]) for listed in lists[k * each :][:each]]
    return scored_ratio(list(stored.candidate_scores(histories, candidates)), truths)


def _teacher_run(data: Data, _: str, seed: int) -> dict[str, Any]:
    began = time.perf_counter()
    stored, _told = _fit(data, "sasrec_ce", seed)
    base = pin(Base(path="base/tiny-qwen3", revision=None))
    texts = {row["item_id"]: {**row, "average_rating": None} for row in items(DATA).iter_rows(named=True)}
    stretches = planned_stretches(TASKS, TEACHER.course)
    with (
        tempfile.TemporaryDirectory() as work,
        training_bar("teacher", stretches, "val_loss", quiet=False, unit="update") as told,
    ):
        given = TrainingData(seed, texts, _lessons(data, seed), data.tasks("valid"), Path(work) / "work")
        train_teacher(TEACHER, base, stored, given, told, Path(work) / "to")
        minutes = (time.perf_counter() - began) / 60
        teacher = load_teacher(Path(work) / "to", load_in(base, TEACHER.base_weights), base, Eyes(stored))
    return {**_examined(teacher, base, data, texts, stored), "minutes": round(minutes, 2)}


def _examined(
    teacher: Teacher, base: PinnedBase, data: Data, texts: dict[str, dict[str, Any]], stored: StoredModel
) -> dict[str, Any]:
    """The teacher on the test windows; also without its eyes, and with the gate of another reader."""
    tokenizer, test = load_tokenizer(base), data.tasks("test")
    writer = writer_for(teacher, Encoder(tokenizer), texts, TEACHER)
    asked = questions_of(test, writer, teacher.eyes)
    truths = [own.truth for own in asked.asked if own.truth is not None]
    names = [[writer.name(item) for item in listed] for listed in test["candidates"].to_list()]

    def scored(questions: Questions, *, per_token: bool = False) -> float:
        return round(scored_ratio(likelihoods(teacher, questions, per_token=per_token), truths), 5)

    ratios = written_ratios(written(teacher, asked, tokenizer), names, truths)
    return {
        "hit_ratio@1": scored(asked),
        "hit_ratio@1_by_mean_token": scored(asked, per_token=True),
        "hit_ratio@1_text_only": scored(without_words(asked, teacher.words)),
        "hit_ratio@1_gates_of_others": scored(Questions(asked.asked, asked.seen.roll(1, 0))),
        "hit_ratio@1_written": round(ratios["hit_ratio@1"], 5),
        "valid_ratio": round(ratios["valid_ratio"], 5),
        "hit_ratio@1_of_its_eyes": round(_hits(stored, test, test["candidates"].to_list()), 5),
        "samples": test.height,
    }


def _lessons(data: Data, seed: int) -> pl.DataFrame:
    """Windows of training sessions, as many as TASKS, drawn once."""
    sequences, ids = data.sessions.sequences, data.sessions.vocabulary.ids
    places = [(u, k) for u in range(len(sequences)) for k in range(SHORTEST, len(sequences[u]))]
    drawn = generator(seed, "windows").choice(len(places), min(TASKS, len(places)), replace=False)
    windows = {}
    for user, place in (places[k] for k in drawn):
        windows[f"{user}-{place}"] = ids(sequences[user][max(0, place - SHOWN) : place + 1])
    places_of = {name: [len(own) - 1] for name, own in windows.items()}
    return tasks_of(windows, places_of, "", data.sessions.vocabulary.item_ids, LISTED, seed)


def _publish() -> None:
    claims: list[Claim] = []
    eyes, teachers = [], []
    for name in SETTINGS:
        runs = [files.read_json(own) for own in sorted(RUNS.glob(f"{name}-*.json"))]
        if runs:
            eyes.append({"setting": name, **_means(runs), "seeds": len(runs)})
            claims.append(_claim(name, runs))
    for own in sorted(RUNS.glob("teacher-*.json")):
        teachers.append({"seed": int(own.stem.rpartition("-")[2]), **files.read_json(own)})
    publish("quality_ilora", claims, {"eyes": eyes} | ({"teacher": teachers} if teachers else {}))


def _means(runs: list[dict[str, Any]]) -> dict[str, float]:
    return {key: round(float(np.mean([run[key] for run in runs])), 4) for key in runs[0]}


def _claim(name: str, runs: list[dict[str, Any]]) -> Claim:
    values = np.array([run["hit_ratio@1"] for run in runs])
    noise = (PUBLISHED * (1 - PUBLISHED) / runs[0]["samples"]) ** 0.5
    return at_least(
        f"{DATA}: {name}, HitRatio@1 among {LISTED}",
        float(values.mean()),
        PUBLISHED,
        "",
        f"python -m bench.quality_ilora {name} {len(runs)}",
        peer="SASRec of LLaRA's table",
        repeats=len(runs),
        spread=f"sd {values.std(ddof=min(1, len(runs) - 1)):.3f}, noise of the windows {noise:.3f}",
    )


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except InputError as problem:
        sys.exit(f"error: {problem}")
