"""Train a student with a teacher beside the same student without.   python -m stages.distill_student sasrec oracle
Reads data/teachers/<teacher> and data/interactions of the training and development users; writes both students of every
seed to data/students/<student>-<teacher>, their curves to plots/students/ and their numbers to metrics/train/."""

from collections.abc import Callable
from pathlib import Path

import polars as pl

from kitrec import files, params, tables
from kitrec.contracts.seen import SEEN
from kitrec.distill.embeddings import read_embeddings
from kitrec.distill.fitting import Teacher
from kitrec.distill.learning import ROLES, learn_pair, learned_from
from kitrec.distill.params import Distill
from kitrec.distill.params import Distillation as Pairs
from kitrec.distill.teacher_table import TEACHER
from kitrec.idrec.epochs import bar
from kitrec.idrec.training import Progress
from kitrec.randomness import derived_seed
from stages import entry, paths


def main(student: str, teacher: str, quiet: entry.Quiet = entry.NOBODY_WATCHES) -> None:
    """STUDENT is one of distillation.settings, TEACHER a folder of data/teachers."""
    seed = params.load(int, "seed")
    seeds = params.value(Pairs, "distillation.seeds")
    p = params.load(Distill, f"distillation.settings.{student}")
    name, folder = f"{student}-{teacher}", Path("data/teachers") / teacher
    sources = {role: paths.interactions(role) for role in ("train", "development")}
    with entry.running("distill_student", name, reads=[folder, *sources.values()], params=[seed, seeds, p]) as run:
        train, development = (tables.read(path, SEEN) for path in sources.values())
        vectors = folder / "vectors.safetensors"
        given = learned_from(train, development, p.student.history, p.depth)
        own = Teacher(
            tables.read(folder / "lists.parquet", TEACHER), read_embeddings(vectors) if vectors.exists() else None
        )
        rows: list[dict[str, float | str]] = []
        spent = dict.fromkeys(ROLES, 0.0)
        with files.whole(Path("data/students") / name) as to:
            for number in range(seeds):
                begun = derived_seed(seed, student, number)  # the same twin beside every teacher
                with bar(f"{name}, seed {number}", p.student.course.epochs, quiet=quiet) as advance:

                    def told(_: str, progress: Progress, advance: Callable[[Progress], None] = advance) -> None:
                        advance(progress)

                    pair = learn_pair(p, given, own, begun, run.work / str(number), told, to / str(number))
                for role, each in zip(ROLES, (pair.baseline, pair.distilled), strict=True):
                    rows += [{"seed": number, "role": role, **row} for row in each.fitted.progress.rows]
                    spent[role] += each.seconds
        with files.whole(Path(f"plots/students/{name}.csv")) as draft:
            pl.DataFrame(rows, infer_schema_length=None).with_columns(pl.selectors.float().round(6)).write_csv(draft)
        run.cost |= {f"{role}_seconds": round(seconds, 2) for role, seconds in spent.items()}
        files.write_json({"teacher": pair.told, "seeds": seeds}, Path(f"metrics/train/student-{name}.json"))


if __name__ == "__main__":
    entry.start(main)
