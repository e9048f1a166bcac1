"""Everything that learns or ranks, once on the CPU and once on the fake card; and mistakes that the card must report.

    python -m tests.run_on_card    prints JSON: case -> "equal", or what differed or was refused
A program and no test, since the card takes a key of torch for the whole process (tests/fake_card.py)."""

from tests.fake_card import card, install

install()  # before the imports of kitrec

import inspect  # noqa: E402
import json  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
from collections.abc import Callable  # noqa: E402
from functools import partial  # noqa: E402
from pathlib import Path  # noqa: E402
from types import ModuleType  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402
import torch  # noqa: E402
from transformers import AutoTokenizer  # noqa: E402

from kitrec.distillation import student_training  # noqa: E402
from kitrec.ilora.dataset import CandidateScoringDataset  # noqa: E402
from kitrec.ilora.prompts import TokenizedPrompt  # noqa: E402
from kitrec.ilora.scoring import log_likelihoods  # noqa: E402
from kitrec.ilora.teacher import Teacher  # noqa: E402
from kitrec.ilora.training import fit_teacher  # noqa: E402
from kitrec.ilora.training import init_training as init_teacher_training  # noqa: E402
from kitrec.llm.finetuning.lora import adapter_weights  # noqa: E402
from kitrec.prompts.tokens import Encoder  # noqa: E402
from kitrec.recommenders import cross_domain_training, row_adamw, sequence_training  # noqa: E402
from kitrec.recommenders.data import packed_batches  # noqa: E402
from kitrec.recommenders.data.cross_domain_batches import UserHistories  # noqa: E402
from kitrec.recommenders.models.params import SASRec  # noqa: E402
from kitrec.recommenders.ranking.full import candidate_scores, represent  # noqa: E402
from kitrec.recommenders.ranking.item_search import ItemSearch  # noqa: E402
from kitrec.recommenders.ranking.removed_items import RemovedItems, distinct_pairs  # noqa: E402
from kitrec.recommenders.ranking.within_domain import domain_validation  # noqa: E402
from kitrec.thinkrec import samples as thinkrec_samples  # noqa: E402
from kitrec.thinkrec import training as thinkrec_training  # noqa: E402
from kitrec.thinkrec.labelled_training import fit_labelled  # noqa: E402
from kitrec.thinkrec.params import MF  # noqa: E402
from kitrec.thinkrec.yes_no_ranking import TransformersScorer, make_validator  # noqa: E402
from kitrec.titles import embedding_model, title_model  # noqa: E402
from kitrec.titles.train import train_method  # noqa: E402
from kitrec.training.distributed import DistributedContext  # noqa: E402
from tests.distillation import test_distillation as students  # noqa: E402
from tests.distillation.made_teachers import made_config  # noqa: E402
from tests.ilora.made_teachers import made_base, made_encoder, made_mixture  # noqa: E402
from tests.ilora.made_teachers import made_training_config as teacher_config  # noqa: E402
from tests.ilora.test_teacher_training import ITEMS, made_dataset  # noqa: E402
from tests.recommenders import made_domains, made_models  # noqa: E402
from tests.thinkrec import made_thinkrec, test_thinkrec_labelled  # noqa: E402
from tests.titles import made_titles  # noqa: E402

TINY = Path(__file__).parents[1] / "base" / "tiny-qwen3"
Case = Callable[[torch.device, Path], Any]


def sequence_model(kind: str, device: torch.device, _work: Path) -> Any:
    """Train, validate and rank with a sequence model."""
    model = sequence_training.new_model(made_models.model_params(kind, dropout=0.1), made_models.ITEMS, 0)
    config, sequences = made_models.made_training_config(epochs=1), made_models.made_sequences(40)
    state = sequence_training.init_training(model, config, DistributedContext(device))
    histories = made_models.made_sequences(20, 1)
    validation = sequence_training.Validation(histories, np.arange(1, 21))
    loss = students.Loss(kind="sampled_ce", negatives=4, calibration=0.0) if kind == "sasrec" else made_models.CE
    sequence_training.train(state, sequences, validation, config, loss, 0, lambda _: None)
    model.eval()
    scores = candidate_scores(model, histories, np.tile(np.arange(1, 6), (20, 1)))
    search = ItemSearch(*model.output())
    removed = RemovedItems(
        torch.zeros(search.padded, dtype=torch.bool, device=device),
        *distinct_pairs(np.arange(20), np.arange(20), 20),
        None,
        None,
    )
    with torch.no_grad():
        best = search.best(represent(model, histories), 3, removed)
    return state.progress.rows, scores.tolist(), [each.tolist() for each in best]


def cross_domain_model(kind: str, device: torch.device, work: Path) -> Any:
    """Train and validate a model over two domains, resumed once, as its optimizer has a state of its own."""
    histories, targets, _ = made_domains.clustered(30)
    validation = domain_validation(UserHistories(histories), targets, made_domains.CATALOGUE, 0)
    rows = []
    for epochs in (1, 2):
        config = made_domains.made_training_config(epochs=epochs)
        users, p = made_domains.made_users(60), made_domains.model_params(kind)
        options = (p, config, made_domains.CATALOGUE, users, validation, 0, work, lambda _: None)
        rows.append(cross_domain_training.train_cross_domain_model(*options, device=device).progress.rows)
    return rows


def student(device: torch.device, work: Path) -> Any:
    """Distil a student with every auxiliary loss."""
    rows = []
    for form in (students.INJECTION, students.DISTANCE):
        p = made_config("sasrec", dros=students.DROS, embedding=form)
        before = student_training.distributed_context
        student_training.distributed_context = lambda: DistributedContext(device)
        try:
            rows.append(students.train_distilled(p, work / form.form).result.progress.rows)
        finally:
            student_training.distributed_context = before
    return rows


def labelled_model(model: Any, device: torch.device, _work: Path) -> Any:
    """Train a model of likes and dislikes."""
    p = test_thinkrec_labelled.made_labelled_config(model, epochs=2)
    train, valid = (test_thinkrec_labelled.made_rows(seed, count) for seed, count in ((0, 120), (1, 60)))
    fitted = fit_labelled(p, train, valid, 0, device)
    return fitted.rows, fitted.scores(valid).tolist()


def thinkrec(device: torch.device, work: Path) -> Any:
    """Train a stage with vectors, in micro-batches and with checkpointing, and validate it."""
    tokenizer = AutoTokenizer.from_pretrained(TINY)
    model, composer = made_thinkrec.made_model(TINY, tokenizer), made_thinkrec.made_composer(tokenizer)
    model.llm.to(device)
    model.projector.to(device)
    records = [made_thinkrec.made_record(k) for k in range(8)]
    stage_samples = thinkrec_samples.samples(records, composer, Encoder(tokenizer), 0)
    config = made_thinkrec.made_training_config(updates=2, validate_every=1, micro_batch_size=2)
    stage = thinkrec_training.Stage(
        "projector", stage_samples, config, made_thinkrec.made_objective(), 0, work / "projector"
    )
    tensors = {**dict(model.projector.named_parameters()), **adapter_weights(model.llm, "general")}
    validate = make_validator(TransformersScorer(model, composer, made_thinkrec.made_objective()), records)
    work.mkdir(parents=True, exist_ok=True)
    (work / "projector").mkdir()
    return thinkrec_training.train_stage(model, tensors, stage, validate, lambda _: None).progress.rows


def ilora(device: torch.device, work: Path) -> Any:
    """Train a teacher and score candidates with it."""
    torch.manual_seed(5)
    teacher = Teacher(made_base().to(device), made_encoder(ITEMS), made_mixture(dropout=0.1))
    config = teacher_config(epochs=1)
    state, data = init_teacher_training(teacher, config), made_dataset(16)
    fit_teacher(state, teacher, data, made_dataset(6, 1), config, 7, work, lambda _: None)
    prompts = [
        TokenizedPrompt(sample.ids[: sample.prompt_length].tolist(), [[3, 1], [4, 1]], 0) for sample in data.samples
    ]
    scores = log_likelihoods(teacher, CandidateScoringDataset(prompts, data.user_embeddings), per_token=False)
    return state.progress.rows, [values.tolist() for values in scores]


def titles(kind: str, device: torch.device, work: Path) -> Any:
    """Train a method of titles."""
    load = embedding_model.load_base
    on_device = lambda base, weights: load(base, weights).to(device)  # noqa: E731
    embedding_model.load_base = title_model.load_base = on_device
    try:
        training = made_titles.made_training(updates=2, validate_every=1)
        p = made_titles.made_embedding(training, training) if kind == "embedding" else made_titles.made_title(training)
        inputs = made_titles.made_inputs(TINY, work / "work", users=12)
        return train_method(p, inputs, lambda _name, _progress: None, work / "model").rows
    finally:
        embedding_model.load_base = title_model.load_base = load


SMALL = SASRec(kind="sasrec", hidden_size=8, heads=2, layers=1, max_length=6, dropout=0.1)
CASES: dict[str, Case] = {
    **{kind: partial(sequence_model, kind) for kind in made_models.KINDS},
    **{kind: partial(cross_domain_model, kind) for kind in made_domains.CROSS_DOMAIN},
    "student": student,
    "labelled mf": partial(labelled_model, MF(kind="mf", hidden_size=8)),
    "labelled sasrec": partial(labelled_model, SMALL),
    "thinkrec": thinkrec,
    "ilora": ilora,
    "titles embedding": partial(titles, "embedding"),
    "titles title": partial(titles, "title"),
}


def forget(text: str, home: ModuleType, name: str, *users: ModuleType) -> None:
    """Define a function or class again without a part of its source, in its module and where it is imported."""
    source = inspect.getsource(getattr(home, name))
    assert source.count(text) == 1, (name, text)
    exec(source.replace(text, ""), home.__dict__)
    for module in users:
        setattr(module, name, getattr(home, name))


# Of each mistake: the case that it breaks, and the source that is left out.
MISTAKES: dict[str, tuple[str, Callable[[], None]]] = {
    "a batch stays on the host": (
        "sasrec",
        partial(forget, ".to(device, non_blocking=pin_memory)", packed_batches, "pack", sequence_training),
    ),
    "a counter of the optimizer stays on the host": (
        "conet",
        partial(forget, ".to(parameter.device)", row_adamw, "RowAdamW", cross_domain_training),
    ),
    "labels stay on the host": (
        "thinkrec",
        partial(forget, ", device=device", thinkrec_training, "_accumulate_gradients"),
    ),
}


def main() -> None:
    """Run all cases, or those that are named."""
    names = sys.argv[1:] or [*CASES, *MISTAKES]
    torch.set_num_threads(1)
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, case in ((name, CASES[name]) for name in names if name in CASES):
            results[name] = compare(case, Path(folder) / name)
        for name, (case_name, mistake) in ((name, MISTAKES[name]) for name in names if name in MISTAKES):
            mistake()  # for the rest of the process
            results[name] = run(CASES[case_name], Path(folder) / name)
    print(json.dumps(results))


def compare(case: Case, work: Path) -> str:
    """Return "equal" where both devices give the same results, up to rounding."""
    with card():  # creates the same initial weights as below
        expected = case(torch.device("cpu"), work / "cpu")
    return run(lambda device, folder: different(case(device, folder), expected), work)


def different(result: Any, expected: Any) -> str | None:
    """Return the first numbers that are not close: kernels may differ, and round in another order."""
    if isinstance(expected, dict):
        result, expected = list(result.items()), list(expected.items())
    if isinstance(expected, list | tuple):
        pairs = zip(result, expected, strict=True)
        return next((found for pair in pairs if (found := different(*pair))), None)
    if isinstance(expected, str):
        return None if result == expected else f"{result}, not {expected}"
    return None if np.isclose(result, expected, rtol=1e-2, atol=1e-3, equal_nan=True) else f"{result}, not {expected}"


def run(case: Case, work: Path) -> str:
    """Return what a case on the card returns, or its error."""
    try:
        with card() as device:
            return case(device, work / "card") or "equal"
    except Exception as problem:  # whatever is refused is the result
        return f"{type(problem).__name__}: {problem}"


if __name__ == "__main__":
    main()
