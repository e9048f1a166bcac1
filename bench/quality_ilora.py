"""Quality of the iLoRA teacher beside its own sequence encoder.   python -m bench.quality_ilora sasrec_ce 5

LLaRA's protocol on lastfm_ilora: a window of at least three and at most ten artists, 20 candidates (the next one and 19
that are not in the window), HitRatio@1 and ValidRatio over all 122 test windows. The lists are drawn once and are the
same for all; cheap models also report the mean over 200 further draws, since one hit is .008 here. Only the validation
windows choose epochs. `teacher_tiny` uses the shipped tiny base, whose words are not those of artists,
`teacher_smollm2` SmolLM2 (`make base-smollm2`). Runs are kept in bench/results/ilora_runs; without arguments they are
rendered."""

import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from bench.claims import Claim, at_least, publish
from bench.ilora_settings import SETTINGS, SHOWN, TEACHERS, TeacherSetting
from bench.public_data import folder, items
from bench.render import RESULTS
from kitrec.core import files
from kitrec.core.errors import InputError
from kitrec.core.randomness import generator
from kitrec.ilora.dataset import CandidateScoringDataset, scoring_dataset
from kitrec.ilora.hit_ratio import generated_hit_ratio, scored_hit_ratio
from kitrec.ilora.scoring import generate, log_likelihoods, without_item_tokens
from kitrec.ilora.sequence_encoder import SequenceEncoder
from kitrec.ilora.storage import load_teacher
from kitrec.ilora.tasks import build_tasks
from kitrec.ilora.teacher import Teacher, prompt_builder_for
from kitrec.ilora.training import TrainingData, planned_stretches, train_teacher
from kitrec.llm.base.loading import load_base, load_tokenizer
from kitrec.llm.base.params import Base
from kitrec.llm.base.pinning import PinnedBase, pin
from kitrec.prompts.tokens import Encoder
from kitrec.recommenders.data.interaction_files import Interactions, read_interactions
from kitrec.recommenders.data.item_features import ItemFeatures
from kitrec.recommenders.data.sequences import sequences_from_lists
from kitrec.recommenders.sequence_training import SELECTION_METRIC, Validation, train_sequence_model
from kitrec.recommenders.storage import StoredModel
from kitrec.training.progress import training_bar

DATA, SHORTEST, LISTED, DRAWS = "lastfm_ilora", 3, 20, 200
RUNS = RESULTS / "ilora_runs"
PUBLISHED = 0.2233  # SASRec in LLaRA's Table 2


@dataclass(frozen=True)
class Data:
    """Training sessions, and windows (history and next item) by kind, all as item ids."""

    sessions: Interactions
    windows: dict[str, dict[str, list[str]]]

    def tasks(self, kind: str) -> pl.DataFrame:
        """Return the frozen lists of a kind of windows."""
        windows = self.windows[kind]
        positions = {name: [len(items) - 1] for name, items in windows.items()}
        return build_tasks(windows, positions, "", self.sessions.vocabulary.item_ids, LISTED, seed=0)


def main(arguments: list[str]) -> None:
    """Run the given setting, if any, and publish the kept runs."""
    if arguments:
        runs: dict[str, Callable[[Data, str, int], dict[str, Any]]] = dict.fromkeys(SETTINGS, _encoder_run)
        runs |= dict.fromkeys(TEACHERS, _teacher_run)
        if len(arguments) != 2 or arguments[0] not in runs:
            raise InputError(f"give one of {', '.join(runs)} and a number of seeds")
        data = read_windows()
        for seed in range(int(arguments[1])):
            target = RUNS / f"{arguments[0]}-{seed}.json"
            if not target.exists():
                files.write_json(runs[arguments[0]](data, arguments[0], seed), target)
    _publish()


def read_windows() -> Data:
    """Read the training sessions and the windows long enough for the protocol."""

    def windows(kind: str) -> dict[str, list[str]]:
        table = pl.read_csv(folder(DATA) / f"{kind}_windows.tsv", separator="\t", infer_schema=False)
        rows = [[*(row["history"] or "").split(), row["next"]] for row in table.iter_rows(named=True)]
        return {f"{kind}-{k}": row for k, row in enumerate(rows) if len(row) > SHORTEST}

    sessions = read_interactions(folder(DATA) / "interactions.tsv")
    return Data(sessions, {kind: windows(kind) for kind in ("valid", "test")})


def _fit(data: Data, name: str, seed: int) -> tuple[StoredModel, dict[str, float]]:
    vocabulary = data.sessions.vocabulary
    windows = [vocabulary.numbers(pl.Series(window)) for window in data.windows["valid"].values()]
    validation = Validation(
        sequences_from_lists(window[:-1] for window in windows), np.array([window[-1] for window in windows])
    )
    p = SETTINGS[name]
    with (
        tempfile.TemporaryDirectory() as work,
        training_bar(f"{name} {seed}", p.training.epochs, SELECTION_METRIC, quiet=False) as on_epoch_end,
    ):
        trained = train_sequence_model(
            p, ItemFeatures(), len(vocabulary), data.sessions.sequences, validation, seed, Path(work), on_epoch_end
        )
    counts = np.bincount(data.sessions.sequences.items, minlength=len(vocabulary) + 1).astype(np.float32)
    return StoredModel(trained.model, vocabulary, counts, trained.metrics()), trained.metrics()


def _encoder_run(data: Data, name: str, seed: int) -> dict[str, Any]:
    began = time.perf_counter()
    stored, metrics = _fit(data, name, seed)
    tasks = data.tasks("test")
    return {
        "hit_ratio@1": round(_hits(stored, tasks, tasks["candidates"].to_list()), 5),
        "hit_ratio@1_mean_of_draws": round(_hits(stored, tasks, further_lists(data)), 5),
        "valid_ratio": 1.0,
        "samples": tasks.height,
        "epoch": metrics["epoch"],
        "minutes": round((time.perf_counter() - began) / 60, 2),
    }


def further_lists(data: Data) -> list[list[str]]:
    """Draw DRAWS further lists per test window, one window after the other, the next item first."""
    pool, rng, lists = data.sessions.vocabulary.item_ids, generator(0, "further lists"), []
    for window in data.windows["test"].values():
        others = [k for k, item in enumerate(pool) if item not in window]
        lists += [[window[-1], *(pool[k] for k in rng.choice(others, LISTED - 1, replace=False))] for _ in range(DRAWS)]
    return lists


def _hits(stored: StoredModel, tasks: pl.DataFrame, lists: list[list[str]]) -> float:
    """Return HitRatio@1 of a model over item numbers; every task has equally many lists."""
    number = {item: k for k, item in enumerate(stored.vocabulary.item_ids, start=1)}
    each = len(lists) // tasks.height
    histories = sequences_from_lists(
        [number[i] for i in history] for history in tasks["history"].to_list() for _ in range(each)
    )
    candidates = np.array([[number[item] for item in listed] for listed in lists])
    targets = [
        listed.index(target) for k, target in enumerate(tasks["ground_truth"]) for listed in lists[k * each :][:each]
    ]
    return scored_hit_ratio(list(stored.candidate_scores(histories, candidates)), targets)


def _teacher_run(data: Data, name: str, seed: int) -> dict[str, Any]:
    setting, began = TEACHERS[name], time.perf_counter()
    stored = _fit(data, "sasrec_ce", seed)[0]
    base, p = pin(Base(path=setting.base, revision=None)), setting.p
    texts = {row["item_id"]: {**row, "average_rating": None} for row in items(DATA).iter_rows(named=True)}
    stretches = planned_stretches(setting.windows, p.training)
    with (
        tempfile.TemporaryDirectory() as work,
        training_bar("teacher", stretches, "val_loss", quiet=False, unit="update") as on_epoch_end,
    ):
        training_data = TrainingData(
            seed, texts, _training_tasks(data, setting.windows, seed), data.tasks("valid"), Path(work) / "work"
        )
        train_teacher(p, base, stored, training_data, on_epoch_end, Path(work) / "to")
        minutes = (time.perf_counter() - began) / 60
        teacher = load_teacher(Path(work) / "to", load_base(base, p.base_weights), base, SequenceEncoder(stored))
    return {**_teacher_metrics(teacher, setting, base, data, texts, stored), "minutes": round(minutes, 2)}


def _teacher_metrics(
    teacher: Teacher,
    setting: TeacherSetting,
    base: PinnedBase,
    data: Data,
    texts: dict[str, dict[str, Any]],
    stored: StoredModel,
) -> dict[str, Any]:
    """Evaluate the teacher on the test windows, also without its encoder and with another user's gate."""
    tokenizer, test = load_tokenizer(base), data.tasks("test")
    writer = prompt_builder_for(teacher, Encoder(tokenizer), texts, setting.p)
    questions = scoring_dataset(test, writer, teacher.sequence_encoder)
    targets = [row.ground_truth for row in questions.prompts if row.ground_truth is not None]
    names = [[writer.answer_text(item) for item in listed] for listed in test["candidates"].to_list()]

    def scored(rows: CandidateScoringDataset, *, per_token: bool = False) -> float:
        return round(scored_hit_ratio(log_likelihoods(teacher, rows, per_token=per_token), targets), 5)

    ratios = generated_hit_ratio(generate(teacher, questions, tokenizer), names, targets)
    return {
        "hit_ratio@1": scored(questions),
        "hit_ratio@1_by_mean_token": scored(questions, per_token=True),
        "hit_ratio@1_text_only": scored(without_item_tokens(questions, teacher.vocab_size)),
        "hit_ratio@1_gates_of_others": scored(
            CandidateScoringDataset(questions.prompts, questions.user_embeddings.roll(1, 0))
        ),
        "hit_ratio@1_written": round(ratios["hit_ratio@1"], 5),
        "valid_ratio": round(ratios["valid_ratio"], 5),
        "hit_ratio@1_of_its_encoder": round(_hits(stored, test, test["candidates"].to_list()), 5),
        "samples": test.height,
    }


def _training_tasks(data: Data, count: int, seed: int) -> pl.DataFrame:
    """Draw `count` windows of training sessions once."""
    sequences, ids = data.sessions.sequences, data.sessions.vocabulary.ids
    positions = [(u, k) for u in range(len(sequences)) for k in range(SHORTEST, len(sequences[u]))]
    drawn = generator(seed, "windows").choice(len(positions), min(count, len(positions)), replace=False)
    windows = {}
    for user, position in (positions[k] for k in drawn):
        windows[f"{user}-{position}"] = ids(sequences[user][max(0, position - SHOWN) : position + 1])
    last_positions = {name: [len(window) - 1] for name, window in windows.items()}
    return build_tasks(windows, last_positions, "", data.sessions.vocabulary.item_ids, LISTED, seed)


def _publish() -> None:
    claims: list[Claim] = []
    encoders, teachers = [], []
    for name in (*SETTINGS, *TEACHERS):
        runs = [files.read_json(path) for path in sorted(RUNS.glob(f"{name}-*.json"))]
        if runs and name in SETTINGS:
            encoders.append({"setting": name, **_means(runs), "seeds": len(runs)})
        else:
            teachers += [{"teacher": name, "seed": seed, **run} for seed, run in enumerate(runs)]
        if runs and name != "teacher_tiny":
            claims.append(_claim(name, runs))
    publish("quality_ilora", claims, {"encoder": encoders} | ({"teacher": teachers} if teachers else {}))


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
