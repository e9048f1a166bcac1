"""Compute the perplexity of a method's rationales.   python -m stages.evaluate_rationales kitrec_full
Reads data/rationales/<method>; writes metrics/rationales/<method>.json."""

from pathlib import Path

from kitrec.core import files, params, tables
from kitrec.evaluation.perplexity import perplexities
from kitrec.preprocessing.params import Data
from kitrec.schemas.likelihoods import RATIONALES
from stages.lib import paths, runner


def main(method: str) -> None:
    """Compute the perplexity of METHOD's rationales to the model that wrote them and to the base, per test set."""
    sets = params.value(Data, "data.test_sets")
    sources = {f"set{which}": paths.of_set(paths.rationales(method), which) for which in sets}
    with runner.running("evaluate_rationales", method, reads=list(sources.values()), params=[sets]):
        metrics = {name: perplexities(tables.read(path, RATIONALES)) for name, path in sources.items()}
        files.write_json(metrics, Path(f"metrics/rationales/{method}.json"))


if __name__ == "__main__":
    runner.start(main)
