"""Train a student without a teacher, to compare its taught twins with.   python -m stages.train_student sasrec
Reads data/interactions of the training and development users; writes a student of every seed to
data/students/<student>, their curves to plots/students/ and their numbers to metrics/train/."""

from kitrec.core import params, tables
from kitrec.core.randomness import derived_seed
from kitrec.distillation.params import Distillation, StudentConfig
from kitrec.distillation.students import student_data
from kitrec.schemas.split_interactions import SPLIT_INTERACTIONS
from stages.lib import paths, runner
from stages.lib.students import study


def main(student: str, quiet: runner.Quiet = runner.NOBODY_WATCHES) -> None:
    """STUDENT is one of distillation.settings."""
    seed = params.load(int, "seed")
    seeds = params.value(Distillation, "distillation.seeds")
    p = params.load(StudentConfig, f"distillation.settings.{student}")
    sources = {role: paths.interactions(role) for role in ("train", "development")}
    with runner.running("train_student", student, reads=[*sources.values()], params=[seed, seeds, p]) as run:
        train, development = (tables.read(path, SPLIT_INTERACTIONS) for path in sources.values())
        given = student_data(train, development, p.student.history, p.depth)
        begun = [derived_seed(seed, student, number) for number in range(seeds)]  # as beside every teacher
        study(student, p, given, None, begun, run, quiet=quiet)


if __name__ == "__main__":
    runner.start(main)
