"""Settings of bench.quality_ilora: sequence encoders, and the teacher on each base."""

from dataclasses import dataclass, replace

from bench.seqrec_settings import CE, FAST, method, training_config
from kitrec.ilora import params as ilora
from kitrec.recommenders.models.params import SASRec
from kitrec.recommenders.params import Loss, SequenceMethod

SHOWN = 10  # artists of a window before the next one


def _sasrec(dropout: float) -> SASRec:
    return SASRec(kind="sasrec", hidden_size=64, heads=2, layers=2, max_length=50, dropout=dropout)


SETTINGS: dict[str, SequenceMethod] = {
    "sasrec_ce": method(_sasrec(0.5), CE, training_config(200, 15, batch_size=64, **FAST)),
    "sasrec_bce": method(
        _sasrec(0.5), Loss(kind="bce", negatives=1, calibration=0.0), training_config(300, 20, batch_size=64)
    ),
}
TEACHER = ilora.Ilora(
    base_weights="bf16",
    mixture=ilora.Mixture(experts=4, rank=8, alpha=16.0, dropout=0.05, gate=ilora.Dense(kind="dense")),
    prompt=ilora.PromptConfig(max_history=SHOWN, answer="title", hybrid=True, max_length=2048),
    training=ilora.TrainingConfig(
        epochs=1,
        batch_size=8,
        gradient_accumulation_steps=2,
        learning_rate=2e-3,
        gate_lr_ratio=0.3,
        weight_decay=0.0,
        warmup_ratio=0.05,
        max_grad_norm=1.0,
        validate_every=21,
        patience=5,
        gradient_checkpointing=False,
        curriculum=ilora.Curriculum(text_until=0.0, hybrid_from=0.2),
    ),
    per_token=False,
    folds=1,
)


@dataclass(frozen=True)
class TeacherSetting:
    """The folder of a base, the windows of training sessions that train the teacher, and how."""

    base: str
    windows: int
    p: ilora.Ilora


TEACHERS = {
    "teacher_tiny": TeacherSetting("base/tiny-qwen3", 1_000, TEACHER),
    "teacher_smollm2": TeacherSetting(
        "base/smollm2-135m",
        1_000,
        replace(
            TEACHER,
            training=replace(TEACHER.training, learning_rate=5e-4, validate_every=25),
        ),
    ),
}
