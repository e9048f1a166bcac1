"""Compare a distilled student with its baseline, rank by it, export it.   python -m stages.rank_student sasrec oracle
Reads data/students/<student> and <pair>, the items, data/interactions/test and the test records; writes
data/rankings/<pair> (first seed), data/serving/<pair> (ONNX), metrics/students/<pair>.json (all seeds, among items of
the domain and among the candidates), metrics/time/<pair>.json and, of all pairs that are there, metrics/time.json."""

from pathlib import Path

from kitrec.core import files, params, tables
from kitrec.distillation.comparison import compare_on_candidates, compare_students, users_of_questions
from kitrec.distillation.params import Distillation, StudentConfig
from kitrec.onnx.export import export
from kitrec.onnx.runtime import load_onnx_model, measure_latency
from kitrec.preprocessing.params import Data
from kitrec.recommenders.data.item_domains import item_domains_of
from kitrec.recommenders.data.user_histories import target_domains
from kitrec.recommenders.ranking.candidates import score_records
from kitrec.recommenders.storage import load_model
from kitrec.recommenders.train import development_validation
from kitrec.schemas.interactions import SPLIT_INTERACTIONS
from kitrec.schemas.items import ITEMS
from kitrec.schemas.rankings import RANKINGS, from_scores
from kitrec.schemas.records import RECORDS, TEXT_COLUMNS
from stages.lib import paths, runner
from stages.lib.distillation_cost import durations, write_durations


def main(student: str, teacher: str) -> None:
    """Compare and rank the students of STUDENT and TEACHER, named as in distill_student."""
    # 1. Params and inputs
    sets, p = params.value(Data, "data.test_sets"), params.load(StudentConfig, f"distillation.settings.{student}")
    seed = params.load(int, "seed")
    cutoffs = params.value(Distillation, "distillation.cutoffs")
    name, source = f"{student}-{teacher}", paths.interactions("test")
    folders = [paths.student(student), paths.student(name)]
    tests = {which: paths.set_records(which, "test") for which in sets}
    reads = [*folders, paths.ITEMS, source, *tests.values()]
    with runner.running("rank_student", name, reads=reads, params=[seed, sets, p, cutoffs]):
        # 2. Both students with all their seeds, the test users' interactions
        interactions, history = tables.read(source, SPLIT_INTERACTIONS), p.student.history
        baseline, distilled = ([load_model(path) for path in sorted(folder.iterdir())] for folder in folders)
        # 3. Rankings of the test candidates by the first seed, comparison of all seeds on them
        first, ranked, compared = distilled[0], {}, {}
        for which, path in tests.items():
            records = tables.read(path, RECORDS, leave_out=TEXT_COLUMNS)
            before, after = (
                [score_records(model, records, interactions, history).scores for model in models]
                for models in (baseline, distilled)
            )
            ranked[f"set{which}"] = from_scores(name, records, after[0])
            compared[f"set{which}"] = compare_on_candidates(before, after, records, seed)
        tables.write_all(ranked, paths.rankings(name), RANKINGS)
        # 4. Comparison on the test users' held-out items, among items of their domain
        domains = item_domains_of(tables.read(paths.ITEMS, ITEMS), target_domains(interactions), first.vocabulary)
        test = development_validation(interactions, history, first.vocabulary, domains, seed)
        users = users_of_questions(interactions, history, first.vocabulary)
        comparison = compare_students(baseline, distilled, test, p.depth, cutoffs, owners=users, seed=seed)
        files.write_json(comparison | compared, Path(f"metrics/students/{name}.json"))
        # 5. The first seed for serving, and what it all cost
        served = Path("data/serving") / name
        difference = {"onnx_differs_from_torch_by": export(first, served)}
        latency = {"student_latency": measure_latency(load_onnx_model(served), test.histories)}
        costs = {**durations(student, teacher), **latency, **difference}
        files.write_json(costs, Path(f"metrics/time/{name}.json"))
    write_durations()


if __name__ == "__main__":
    runner.start(main)
