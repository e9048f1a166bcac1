"""Settings of ThinkRec's benches: models of likes over item numbers, and the tiny base on a sample of the rows."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from kitrec.core.randomness import generator
from kitrec.llm.base.loading import load_for_serving, load_tokenizer
from kitrec.llm.base.pinning import pin
from kitrec.llm.finetuning.params import Base
from kitrec.recommenders.params import SASRec
from kitrec.thinkrec.collaborative_vectors import of_labelled_model
from kitrec.thinkrec.conversion import from_labelled
from kitrec.thinkrec.labelled_rows import Labelled
from kitrec.thinkrec.labelled_training import MATRIX, fit_labelled
from kitrec.thinkrec.params import Adapter, Course, Objective, ProjectorStage, Prompt, Reflection, TextStage
from kitrec.thinkrec.stage_training import StageData, train_projector, train_text
from kitrec.thinkrec.storage import load_trained
from kitrec.thinkrec.yes_no_ranking import Asker
from kitrec.training.state import Progress

BASE = Base(path="base/tiny-qwen3", revision=None)
SAMPLE = {"train": 1000, "valid": 200, "test": 600}  # rows for the tiny base
TEXT = "Would this viewer enjoy <TargetItemTitle>? Answer Yes or No. They liked: <ItemTitleList>."
BEFORE = "A viewer <UserID> liked these films: <ItemTitleList> <HisItemList>. "
VECTORS = f"{BEFORE}Answer Yes or No: would they enjoy <TargetItemTitle> <TargetItemID>?"


LABELLED = {
    "mf": MATRIX,
    "sasrec": replace(
        MATRIX,
        model=SASRec(kind="sasrec", hidden=64, heads=2, layers=1, length=50, dropout=0.5),
        learning_rate=3e-4,
        patience=5,
        bias_rate=33.0,
    ),
}
TINY = ("thinkrec_text", "thinkrec")


def _course(updates: int, rate: float) -> Course:
    return Course(
        updates=updates,
        judge_every=updates // 2,
        batch=16,
        at_once=16,
        learning_rate=rate,
        warmup=0.1,
        weight_decay=0.0,
        max_grad_norm=1.0,
        patience=9,
    )


PROMPT = Prompt(text=[TEXT], vectors=[VECTORS], history=5)
OBJECTIVE = Objective(alpha=0.1, beta=0.9, theta=0.9, gamma=0.1, logit="yes_minus_no", reasoning=0.2)
TEXT_STAGE = TextStage(
    adapter=Adapter(rank=8, alpha=16, dropout=0.05), course=_course(200, 2e-3), reflection=Reflection(rounds=0, cases=1)
)
PROJECTOR_STAGE = ProjectorStage(expansion=10, moves="projector_and_adapter", course=_course(200, 2e-3))


def asked_of_tiny(
    name: str, parts: list[Labelled], titles: dict[str, str], seed: int, work: Path
) -> tuple[Labelled, np.ndarray, dict[str, float]]:
    """(sampled test rows, P(Yes) of each, how the last stage was chosen): text alone, or MF's vectors in the prompt."""
    train, valid, test = (_sampled(own, count, seed) for own, count in zip(parts, SAMPLE.values(), strict=True))
    users, items = None, None
    if name == "thinkrec":
        users, items = of_labelled_model(fit_labelled(LABELLED["mf"], parts[0], parts[1], seed), parts[0])
    base = pin(BASE)
    given = StageData(
        prompt=PROMPT,
        objective=OBJECTIVE,
        train=from_labelled(train, titles),
        valid=from_labelled(valid, titles),
        users=users,
        items=items,
        load_base=partial(load_for_serving, base, torch.float32),
        tokenizer=load_tokenizer(base),
        base=base,
        folder=work / "thinkrec",
        work=work / "under_way",
        seed=seed,
        on_validation=_tell,
    )
    trained = train_text(given, TEXT_STAGE)
    if name == "thinkrec":
        trained = train_projector(given, PROJECTOR_STAGE)
    stage = "projector" if name == "thinkrec" else "text"
    model = load_trained(given.load_base(), given.tokenizer, base, given.folder, stage).model
    asker = Asker(model, given.composer(vectors=name == "thinkrec"), OBJECTIVE)
    progress = trained.progress
    return test, asker.flat(from_labelled(test, titles)), progress.rows[progress.best_epoch - 1]


def _sampled(own: Labelled, count: int, seed: int) -> Labelled:
    """Rows of whole users, so that UAUC means the same, until there are enough."""
    names = sorted(set(own.users))
    order = generator(seed, "sampled users", len(own)).permutation(len(names))
    kept: list[int] = []
    for user in order:
        if len(kept) >= count:
            break
        kept += [row for row, name in enumerate(own.users) if name == names[user]]
    rows = sorted(kept)
    return Labelled(
        [own.users[k] for k in rows],
        [own.items[k] for k in rows],
        own.labels[rows],
        [own.histories[k] for k in rows],
    )


def _tell(stage: str, progress: Progress) -> None:
    print(stage, progress.rows[-1], flush=True)
