"""Folds of the teacher: a memorised row betrays who learned from it, so memorising models are the proof here.

Every user's last item is drawn at random: nothing but having learned the row itself makes anyone name it."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from kitrec.core import files, tables
from kitrec.core.errors import InputError
from kitrec.core.params import parse
from kitrec.ilora.dataset import scoring_dataset
from kitrec.ilora.fold_training import EncoderTraining, train_fold_teachers
from kitrec.ilora.folds import FOLD_OF_USER, FOLDS, fold_of_users, rows_by_teacher
from kitrec.ilora.params import Curriculum, Ilora
from kitrec.ilora.scoring import log_likelihoods
from kitrec.ilora.sequence_encoder import SequenceEncoder
from kitrec.ilora.storage import load_teacher, save_teacher
from kitrec.ilora.teacher import new_teacher, prompt_builder_for
from kitrec.ilora.training import TrainingData
from kitrec.ilora.user_tasks import tasks_from_steps
from kitrec.llm.base.loading import load_base, load_tokenizer
from kitrec.llm.base.params import Base
from kitrec.llm.base.pinning import PinnedBase, pin
from kitrec.prompts.tokens import Encoder
from kitrec.recommenders import train as recommenders
from kitrec.recommenders.params import SequenceMethod
from kitrec.recommenders.storage import load_model
from tests.ilora.made_teachers import (
    made_mixture,
    made_params,
    made_prompt_config,
    made_stored_model,
    made_training_config,
)
from tests.recommenders.made_models import CE, model_params
from tests.recommenders.made_models import made_training_config as encoder_config

USERS, ITEMS, FOLD_COUNT, SHOWN, SEED = 12, 24, 2, 4, 5
IDS = [f"M{k:02}" for k in range(ITEMS)]
CATALOGUE = pl.DataFrame(
    {
        "item_id": IDS,
        "domain": "movies",
        "title": [f"Calm River {k}" for k in range(ITEMS)],
        "categories": [["Fjord"]] * ITEMS,
        "average_rating": 4.0,
        "description": None,
    }
)


def made_interactions(count: int, prefix: str, seed: int) -> pl.DataFrame:
    """Five random items of each user, the last one held out."""
    rng, rows = np.random.default_rng(seed), []
    for user in range(count):
        for time, item in enumerate(rng.permutation(ITEMS)[:5]):
            rows.append((f"{prefix}{user:02}", "movies", IDS[item], 5.0, time, time == 4))
    return pl.DataFrame(rows, schema=["user_id", "domain", "item_id", "rating", "time", "held_out"], orient="row")


TRAIN, DEVELOPMENT = made_interactions(USERS, "u", 0), made_interactions(3, "d", 1)


def last_steps(interactions: pl.DataFrame) -> pl.DataFrame:
    return tasks_from_steps(interactions, CATALOGUE, "both", newest=1, count=SHOWN, seed=SEED)


def made_encoder_training(epochs: int, work) -> EncoderTraining:
    """A SASRec without validation: it trains until it knows its rows by heart."""
    training = encoder_config(mode="full_data", epochs=epochs, learning_rate=1e-2, batch_size=16)
    method = SequenceMethod(history="both", model=model_params("sasrec"), loss=CE, training=training)
    data = recommenders.TrainingData(SEED, CATALOGUE, TRAIN, DEVELOPMENT, work)
    return EncoderTraining("sasrec", method, 1, data)


def made_teacher_params(updates: int, learning_rate: float) -> Ilora:
    """One update per epoch, validated after the last alone: no validation stops it from memorising."""
    training = made_training_config(
        epochs=updates,
        batch_size=USERS // FOLD_COUNT,
        gradient_accumulation_steps=1,
        learning_rate=learning_rate,
        validate_every=updates,
        curriculum=Curriculum(text_until=0, hybrid_from=0),
    )
    return made_params(
        mixture=made_mixture(dropout=0.0), training=training, prompt=made_prompt_config(answer="id"), folds=FOLD_COUNT
    )


def made_data(work) -> TrainingData:
    items = {row["item_id"]: row for row in CATALOGUE.iter_rows(named=True)}
    return TrainingData(SEED, items, last_steps(TRAIN), last_steps(DEVELOPMENT), work)


def stored(folder, p: Ilora, base: PinnedBase) -> None:
    """Write the teacher of all users, untrained, beside the folds: it makes no list here."""
    teacher = new_teacher(p, load_base(base, p.base_weights), SequenceEncoder(made_stored_model(IDS)), SEED)
    folds = folder.parent / "kept"
    (folder / FOLDS).rename(folds)
    save_teacher(teacher, p, base, {}, folder)
    folds.rename(folder / FOLDS)


@pytest.fixture(scope="module")
def base(tiny_base) -> PinnedBase:
    return pin(Base(path=str(tiny_base), revision=None))


def trained_folds(base: PinnedBase, work, updates: int):
    """A folder of folds whose sequence models know their rows by heart; teachers do after many updates."""
    p, users, to = made_teacher_params(updates, 1e-2), fold_of_users(TRAIN, FOLD_COUNT, SEED), work / "to"
    encoder, data = made_encoder_training(60, work / "e"), made_data(work / "t")
    train_fold_teachers(p, base, encoder, data, users, lambda *_: None, to / FOLDS)
    stored(to, p, base)
    return to


@pytest.fixture(scope="module")
def of_folds(base, tmp_path_factory):
    return trained_folds(base, tmp_path_factory.mktemp("folds"), 1)


def hits(part, tasks: pl.DataFrame, base: PinnedBase) -> np.ndarray:
    """Whether the teacher of a part names the held-out item of each task first."""
    p, encoder = made_teacher_params(1, 1e-3), SequenceEncoder(load_model(part.encoder))
    teacher = load_teacher(part.teacher, load_base(base, p.base_weights), base, encoder)
    items = {row["item_id"]: row for row in CATALOGUE.iter_rows(named=True)}
    builder = prompt_builder_for(teacher, Encoder(load_tokenizer(base)), items, p)
    dataset = scoring_dataset(tasks, builder, encoder)
    scores = log_likelihoods(teacher, dataset, per_token=False)
    return np.array([row.argmax() == prompt.ground_truth for row, prompt in zip(scores, dataset.prompts, strict=True)])


@pytest.mark.slow
def test_no_list_comes_from_a_teacher_that_knows_its_row_by_heart(base, tmp_path):
    memorised = trained_folds(base, tmp_path, 60)
    parts = rows_by_teacher(memorised, memorised, last_steps(TRAIN))
    assert [part.tasks.height for part in parts] == [USERS // FOLD_COUNT] * FOLD_COUNT
    ranked = np.concatenate([hits(part, part.tasks, base) for part in parts])
    learned = np.concatenate([hits(part, parts[1 - k].tasks, base) for k, part in enumerate(parts)])
    assert learned.all()  # whoever learned a row repeats it ...
    assert ranked.sum() <= 7  # ... and who ranks it guesses: 3 of 12 by chance, more than 7 in 3 of 1000 draws


def test_candidates_come_from_a_sequence_model_that_did_not_learn_the_row(of_folds):
    parts = rows_by_teacher(of_folds, of_folds, last_steps(TRAIN))

    def first_items(part, tasks: pl.DataFrame) -> np.ndarray:
        lists = SequenceEncoder(load_model(part.encoder)).top_items(tasks["history"].to_list(), IDS, 1)
        return np.array([listed[0] for listed in lists]) == tasks["ground_truth"].to_numpy()

    assert all(first_items(part, parts[1 - k].tasks).all() for k, part in enumerate(parts))
    assert sum(first_items(part, part.tasks).sum() for part in parts) <= 3  # 12 rows, one of 20 items each by chance


def test_every_training_user_has_one_fold_and_every_row_one_teacher(of_folds):
    users = tables.read(of_folds / FOLDS / "users.parquet", FOLD_OF_USER)
    assert users["user_id"].to_list() == sorted(set(TRAIN["user_id"]))
    steps = tasks_from_steps(TRAIN, CATALOGUE, "both", newest=None, count=SHOWN, seed=SEED)
    parts = rows_by_teacher(of_folds, of_folds, steps)
    together = pl.concat([part.tasks for part in parts])
    assert together.sort("user_id", "prefix_length").equals(steps.sort("user_id", "prefix_length"))
    owners = [set(part.tasks["user_id"]) for part in parts]
    assert not owners[0] & owners[1] and len({part.teacher for part in parts}) == FOLD_COUNT
    stranger = steps.with_columns(user_id=pl.lit("stranger"))
    with pytest.raises(InputError, match="no fold of user stranger"):
        rows_by_teacher(of_folds, of_folds, stranger)


def test_without_folds_the_teacher_of_all_users_ranks_every_row(base, tmp_path):
    p = replace(made_teacher_params(1, 1e-3), folds=1)
    teacher = new_teacher(p, load_base(base, p.base_weights), SequenceEncoder(made_stored_model(IDS)), SEED)
    save_teacher(teacher, p, base, {}, tmp_path / "t")
    (part,) = rows_by_teacher(tmp_path / "t", tmp_path / "encoder", last_steps(TRAIN))
    assert (part.teacher, part.encoder) == (tmp_path / "t", tmp_path / "encoder")
    assert part.tasks.equals(last_steps(TRAIN))


def test_a_killed_run_keeps_complete_folds_and_ends_with_the_same_bytes(base, tmp_path):
    p, users = made_teacher_params(2, 1e-3), fold_of_users(TRAIN, FOLD_COUNT, SEED)
    p = replace(p, training=replace(p.training, validate_every=1))
    trained = []

    def run(name: str, stop: str) -> None:
        def show(line, *_):
            trained.append(line)
            if line == stop:
                raise KeyboardInterrupt

        work = tmp_path / name
        train_fold_teachers(
            p, base, made_encoder_training(3, work / "e"), made_data(work / "t"), users, show, work / "to"
        )

    run("whole", stop="")
    for stop in ("fold 0, teacher", "fold 1, sasrec", "fold 1, teacher"):
        with pytest.raises(KeyboardInterrupt):
            run("killed", stop)
    trained.clear()
    run("killed", stop="")
    assert trained == ["fold 1, teacher"]  # its second update alone
    assert files.sha256(tmp_path / "killed/to") == files.sha256(tmp_path / "whole/to")


def test_more_folds_than_users_and_no_fold_are_refused():
    with pytest.raises(InputError, match="13 folds of 12 users would leave an empty one"):
        fold_of_users(TRAIN, USERS + 1, SEED)
    tree = {"teacher": {"folds": 0}}
    problems: list[str] = []
    assert parse(Ilora, "teacher", tree, problems) is None
    assert any("teacher.folds" in problem for problem in problems)
