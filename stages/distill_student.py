"""Train a student with a teacher.   python -m stages.distill_student sasrec oracle
Reads data/teachers/<teacher> and data/interactions of the training and development users; writes a student of every
seed to data/students/<student>-<teacher>, their curves to plots/students/ and their numbers to metrics/train/."""

from pathlib import Path

from kitrec.core import params, tables
from kitrec.core.randomness import derived_seed
from kitrec.distillation.item_embeddings import read_embeddings
from kitrec.distillation.params import Distillation as Pairs
from kitrec.distillation.params import StudentConfig
from kitrec.distillation.student_training import Teacher
from kitrec.distillation.students import student_data
from kitrec.schemas.split_interactions import SPLIT_INTERACTIONS
from kitrec.schemas.teacher_lists import TEACHER_LISTS
from stages.lib import paths, runner
from stages.lib.students import study


def main(student: str, teacher: str, quiet: runner.Quiet = runner.NOBODY_WATCHES) -> None:
    """STUDENT is one of distillation.settings, TEACHER a folder of data/teachers."""
    seed = params.load(int, "seed")
    seeds = params.value(Pairs, "distillation.seeds")
    p = params.load(StudentConfig, f"distillation.settings.{student}")
    name, folder = f"{student}-{teacher}", Path("data/teachers") / teacher
    sources = {role: paths.interactions(role) for role in ("train", "development")}
    with runner.running("distill_student", name, reads=[folder, *sources.values()], params=[seed, seeds, p]) as run:
        train, development = (tables.read(path, SPLIT_INTERACTIONS) for path in sources.values())
        vectors = folder / "vectors.safetensors"
        given = student_data(train, development, p.student.history, p.depth)
        lists = tables.read(folder / "lists.parquet", TEACHER_LISTS)
        own = Teacher(lists, read_embeddings(vectors) if vectors.exists() else None)
        begun = [derived_seed(seed, student, number) for number in range(seeds)]  # as without a teacher
        study(name, p, given, own, begun, run, quiet=quiet)


if __name__ == "__main__":
    runner.start(main)
