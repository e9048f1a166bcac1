"""Settings of ThinkRec's benchmarks: rating models over item ids, and two bases on a sample of the rows."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from kitrec.core.randomness import generator
from kitrec.llm.base.loading import BaseWeights, load_base, load_tokenizer
from kitrec.llm.base.params import Adapter, Base
from kitrec.llm.base.pinning import pin
from kitrec.recommenders.models.params import SASRec
from kitrec.thinkrec.collaborative_vectors import labelled_model_vectors
from kitrec.thinkrec.conversion import from_labelled
from kitrec.thinkrec.labelled_rows import LabelledRows
from kitrec.thinkrec.labelled_training import MATRIX, fit_labelled
from kitrec.thinkrec.params import Objective, ProjectorStage, Prompt, Reflection, TextStage, TrainingConfig
from kitrec.thinkrec.stage_training import StageData, train_projector, train_text
from kitrec.thinkrec.storage import load_trained
from kitrec.thinkrec.yes_no_ranking import TransformersScorer
from kitrec.training.state import Progress

TEXT = "Would this viewer enjoy <TargetItemTitle>? Answer Yes or No. They liked: <ItemTitleList>."
BEFORE = "A viewer <UserID> liked these films: <ItemTitleList> <HisItemList>. "
VECTORS = f"{BEFORE}Answer Yes or No: would they enjoy <TargetItemTitle> <TargetItemID>?"


LABELLED = {
    "mf": MATRIX,
    "sasrec": replace(
        MATRIX,
        model=SASRec(kind="sasrec", hidden_size=64, heads=2, layers=1, max_length=50, dropout=0.5),
        learning_rate=3e-4,
        patience=5,
        bias_lr_multiplier=33.0,
    ),
}


def _training_config(updates: int, rate: float) -> TrainingConfig:
    return TrainingConfig(
        updates=updates,
        validate_every=updates // 2,
        batch_size=16,
        micro_batch_size=16,
        learning_rate=rate,
        warmup_ratio=0.1,
        weight_decay=0.0,
        max_grad_norm=1.0,
        patience=9,
        gradient_checkpointing=False,
    )


PROMPT = Prompt(text=[TEXT], vectors=[VECTORS], history_length=5)
OBJECTIVE = Objective(alpha=0.1, beta=0.9, theta=0.9, gamma=0.1, logit="yes_minus_no", reasoning_ratio=0.2)


TEXT_STAGE = TextStage(
    adapter=Adapter(rank=8, alpha=16, dropout=0.05),
    training=_training_config(200, 2e-3),
    reflection=Reflection(rounds=0, max_mistakes=1),
)
PROJECTOR_STAGE = ProjectorStage(expansion=10, trainable="projector_and_adapter", training=_training_config(200, 2e-3))
BASE = Base(path="base/tiny-qwen3", revision=None)


@dataclass(frozen=True)
class LLMSetting:
    """A base, the rows of each part that it meets (training, validation, test), and its stages."""

    base: Base
    weights: BaseWeights
    rows: tuple[int, int, int]
    text: TextStage
    projector: ProjectorStage | None  # None: text alone


TINY = LLMSetting(BASE, "f32", (1000, 200, 600), TEXT_STAGE, PROJECTOR_STAGE)
SMOLLM2 = LLMSetting(
    Base(path="base/smollm2-135m", revision=None),
    "bf16",
    (8000, 400, 600),
    replace(TEXT_STAGE, training=_training_config(100, 5e-4)),
    replace(PROJECTOR_STAGE, training=_training_config(400, 5e-4)),
)
LLMS = {
    "thinkrec_text": replace(TINY, projector=None),
    "thinkrec": TINY,
    "thinkrec_text_smollm2": replace(SMOLLM2, projector=None),
    "thinkrec_smollm2": SMOLLM2,
}


def scores_of_llm(
    p: LLMSetting, parts: list[LabelledRows], titles: dict[str, str], seed: int, work: Path
) -> tuple[LabelledRows, np.ndarray, dict[str, float]]:
    """Train and return sampled test rows, their P(Yes) and the chosen row: text only, or with MF's vectors."""
    train, valid, test = (_sampled(part, count, seed) for part, count in zip(parts, p.rows, strict=True))
    users, items = None, None
    if p.projector:
        users, items = labelled_model_vectors(fit_labelled(LABELLED["mf"], parts[0], parts[1], seed), parts[0])
    base = pin(p.base)
    data = StageData(
        prompt=PROMPT,
        objective=OBJECTIVE,
        train=from_labelled(train, titles),
        valid=from_labelled(valid, titles),
        users=users,
        items=items,
        load_base=partial(load_base, base, p.weights),
        tokenizer=load_tokenizer(base),
        base=base,
        folder=work / "thinkrec",
        work=work / "under_way",
        seed=seed,
        on_validation=_show,
    )
    trained = train_text(data, p.text)
    if p.projector:
        trained = train_projector(data, p.projector)
    stage = "projector" if p.projector else "text"
    model = load_trained(data.load_base(), data.tokenizer, base, data.folder, stage).model
    scorer = TransformersScorer(model, data.composer(vectors=p.projector is not None), OBJECTIVE)
    progress = trained.progress
    return test, scorer.score_records(from_labelled(test, titles)), progress.rows[progress.best_epoch - 1]


def _sampled(rows: LabelledRows, count: int, seed: int) -> LabelledRows:
    """Return rows of whole users, so that UAUC keeps its meaning, until there are enough."""
    names = sorted(set(rows.users))
    order = generator(seed, "sampled users", len(rows)).permutation(len(names))
    kept: list[int] = []
    for user in order:
        if len(kept) >= count:
            break
        kept += [row for row, name in enumerate(rows.users) if name == names[user]]
    chosen = sorted(kept)
    return LabelledRows(
        [rows.users[k] for k in chosen],
        [rows.items[k] for k in chosen],
        rows.labels[chosen],
        [rows.histories[k] for k in chosen],
    )


def _show(stage: str, progress: Progress) -> None:
    print(stage, progress.rows[-1], flush=True)
