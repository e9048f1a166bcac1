"""Train a student without a teacher: the baseline of its distilled twins.   python -m stages.train_student sasrec
Reads data/interactions of the training and development users; writes a student of every seed to
data/students/<student>, their curves to plots/students/ and their metrics to metrics/train/."""

from functools import partial
from pathlib import Path

from kitrec.core import files, params, tables
from kitrec.core.randomness import derived_seed
from kitrec.distillation.params import Distillation, StudentConfig
from kitrec.distillation.student_training import student_data, train_student, training_curves, training_metrics
from kitrec.schemas.interactions import SPLIT_INTERACTIONS
from kitrec.training.device import use_device
from kitrec.training.params import Trainer
from kitrec.training.progress import stages_bar
from kitrec.training.validation_users import sample_rows
from stages.lib import paths, runner
from stages.lib.seeds import training_seed


def main(student: str, quiet: runner.Quiet = runner.NO_TERMINAL) -> None:
    """Train the STUDENT of distillation.settings with every seed."""
    # 1. Params and inputs
    seed, seeds = training_seed(), params.value(Distillation, "distillation.seeds")
    p = params.load(StudentConfig, f"distillation.settings.{student}")
    use_device(params.value(Trainer, "trainer.device"))
    most = params.value(Trainer, "trainer.validation_users")
    sources = {role: paths.interactions(role) for role in ("train", "development")}
    with runner.running("train_student", student, reads=[*sources.values()], params=[seed, seeds, p, most]) as run:
        # 2. The users' sequences, and the development users' held-out items
        train, development = (tables.read(path, SPLIT_INTERACTIONS) for path in sources.values())
        data = student_data(train, sample_rows(development, most, seed), p.student.history, seed)
        # 3. A student of every seed, the same seeds as with a teacher
        students, epochs, metric = [], p.student.training.epochs, f"ndcg@{p.depth}"
        with files.atomic(paths.student(student)) as to, stages_bar(epochs, metric, quiet=quiet) as show:
            for number in range(seeds):
                on_epoch_end, work = partial(show, f"{student}, seed {number}"), run.work / str(number)
                student_seed, folder = derived_seed(seed, student, number), to / str(number)
                students.append(train_student(p, data, None, student_seed, work, on_epoch_end, folder))
        seconds = [round(trained.seconds, 2) for trained in students]
        run.cost |= {"training_seconds": round(sum(seconds), 2), "training_seconds_per_model": seconds}
        # 4. Their curves and metrics
        with files.atomic(Path(f"plots/students/{student}.csv")) as draft:
            training_curves(students).write_csv(draft)
        files.write_json(training_metrics(students, p.depth), Path(f"metrics/train/student-{student}.json"))


if __name__ == "__main__":
    runner.start(main)
