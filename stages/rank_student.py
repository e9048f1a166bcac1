"""Compare a distilled student with its twin, rank by it, export it.   python -m stages.rank_student sasrec oracle
Reads data/students/<student> and <pair>, data/interactions/test and the test records; writes data/rankings/<pair>
(first seed), data/serving/<pair> (ONNX), metrics/students/<pair>.json and metrics/time/<pair>.json."""

from pathlib import Path
from typing import Any

import numpy as np

from kitrec.core import files, params, tables
from kitrec.core.ranking_metrics import mean_metrics
from kitrec.distillation.comparison import compare, user_ndcg
from kitrec.distillation.params import StudentConfig
from kitrec.onnx.export import export
from kitrec.onnx.runtime import load_onnx_model, measure_latency
from kitrec.preprocessing.params import Data
from kitrec.recommenders.ranking.candidates import score_records
from kitrec.recommenders.ranking.full import ranks
from kitrec.recommenders.sequence_training import Validation
from kitrec.recommenders.storage import StoredModel, load_model
from kitrec.recommenders.train import development_validation
from kitrec.schemas.rankings import RANKINGS, from_scores
from kitrec.schemas.records import RECORDS
from kitrec.schemas.split_interactions import SPLIT_INTERACTIONS
from stages.lib import paths, runner
from stages.lib.distillation_cost import durations

DEPTHS = (1, 5, 10, 20)


def main(student: str, teacher: str) -> None:
    """STUDENT and TEACHER as in distill_student."""
    sets = params.value(Data, "data.test_sets")
    p = params.load(StudentConfig, f"distillation.settings.{student}")
    name, seen_path = f"{student}-{teacher}", paths.interactions("test")
    folders, served = [Path("data/students") / own for own in (student, name)], Path("data/serving") / name
    tests = {which: paths.set_records(which, "test") for which in sets}
    with runner.running("rank_student", name, reads=[*folders, seen_path, *tests.values()], params=[sets, p]):
        seen, history = tables.read(seen_path, SPLIT_INTERACTIONS), p.student.history
        baseline, distilled = ([load_model(own) for own in sorted(folder.iterdir())] for folder in folders)
        first, ranked = distilled[0], {}
        for which, path in tests.items():
            records = tables.read(path, RECORDS)
            ranked[f"set{which}"] = from_scores(name, records, score_records(first, records, seen, history).scores)
        tables.write_all(ranked, paths.rankings(name), RANKINGS)
        asked = development_validation(seen, history, first.vocabulary)
        files.write_json(_compared(baseline, distilled, asked, p.depth), Path(f"metrics/students/{name}.json"))
        apart = {"onnx_differs_from_torch_by": export(first, served)}
        answers = measure_latency(load_onnx_model(served), asked.histories)
        files.write_json(
            {**durations(student, teacher), "student_latency": answers, **apart}, Path(f"metrics/time/{name}.json")
        )


def _compared(baseline: list[StoredModel], distilled: list[StoredModel], asked: Validation, depth: int) -> dict[str, Any]:
    """NDCG of test readers' held-out items among all items, both students, all seeds; as in validation, of readers
    with something that training knows."""
    own, others = (
        np.stack([user_ndcg(each.model, asked.histories, asked.targets, depth) for each in models])
        for models in (baseline, distilled)
    )
    told = {"baseline": _mean_quality(baseline, asked), "distilled": _mean_quality(distilled, asked)}
    return {f"ndcg@{depth}": compare(own, others).metrics(), **told}


def _mean_quality(models: list[StoredModel], asked: Validation) -> dict[str, float]:
    """Over the seeds; with one truth a reader, Hit is Recall."""
    placed = [ranks(each.model, asked.histories, asked.targets) for each in models]
    found = [{k: v for depth in DEPTHS for k, v in mean_metrics(*own, depth).items()} for own in placed]
    return {name: round(float(np.mean([own[name] for own in found])), 6) for name in found[0]}


if __name__ == "__main__":
    runner.start(main)
