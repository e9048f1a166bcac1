"""Who ranks how well in the embedded world, and how far from its oracle?   python -m bench.world_baselines FOLDER

FOLDER is a checkout in which `kitrec profile use variants=all_methods` (or those of idrec.train alone) and `dvc repro
evaluate` have run. Every trained baseline must beat popularity and chance; the oracle knows the ground truth."""

import sys
from pathlib import Path
from typing import Any

from bench.claims import Claim, at_least, publish
from kitrec.core import files, params
from kitrec.core.errors import InputError
from kitrec.recommenders.params import IdRec

FLOORS = ("popularity", "random")  # hard negatives are popular: popularity may fall below chance
COMMAND = "dvc repro evaluate; python -m bench.world_baselines ."


def main(folder: Path) -> None:
    """Order all methods by NDCG@10 of their scored rankings on the test users of the headline set."""
    means = {m: kinds["scored"] for m, kinds in files.read_json(folder / "metrics/evaluate.json").items()}
    trained = params.value(IdRec, "idrec.train", folder / params.FILE)
    missing = [name for name in trained if name not in means]
    if missing or "oracle" not in means:
        raise InputError(f"{folder}: {', '.join(missing) or 'oracle'} is not evaluated; add it to evaluation.methods")
    oracle, floor = means["oracle"]["ndcg@10"], max(means[name]["ndcg@10"] for name in FLOORS)
    order = sorted(means, key=lambda name: -means[name]["ndcg@10"])
    rows: list[dict[str, Any]] = [
        {
            "method": name,
            **{key: round(means[name][key], 3) for key in ("hit@1", "hit@10", "mrr", "ndcg@10")},
            "of_the_oracle's_ndcg@10": round(means[name]["ndcg@10"] / oracle, 3),
        }
        for name in order
    ]
    about = {
        "peer": "the better of popularity and random",
        "repeats": 1,
        "spread": f"{means['oracle']['n']} test users",
    }
    claims: list[Claim] = [
        at_least(f"{name}: NDCG@10", means[name]["ndcg@10"], round(floor, 4), "", COMMAND, **about) for name in trained
    ]
    publish("world_baselines", claims, {"embedded world, by NDCG@10": rows})


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
    except InputError as problem:
        sys.exit(f"error: {problem}")
