"""Make the data the pipeline stands on.   python -m stages.prepare
Reads nothing but params (the synthetic world grows from its seed); writes data/items.parquet, data/world, data/records,
data/preferences, data/interactions, metrics/data.json."""

from pathlib import Path

from kitrec import files, params, tables
from kitrec.audit import difficulty
from kitrec.audit.leaks import Evidence, audit, refuse
from kitrec.contracts.items import ITEMS
from kitrec.contracts.preferences import PREFERENCES
from kitrec.contracts.records import RECORDS
from kitrec.contracts.seen import SEEN
from kitrec.domains import SETS
from kitrec.prep.dataset import Dataset, build_dataset, by_model, counts
from kitrec.prep.params import Candidates, Users
from kitrec.prep.preferences import pairs
from kitrec.world.build import BuiltWorld, build_world
from kitrec.world.histories import USER_TRUTH
from kitrec.world.items import ITEM_TRUTH
from kitrec.world.params import World
from kitrec.world.teacher import TemplateTeacher, with_outputs
from stages import entry, paths

PREFERENCE_PAIRS = Path("data/preferences")


def main() -> None:
    """Build the synthetic world, hold out every user's last target interaction, draw candidate sets A and B."""
    seed = params.load(int, "seed")
    world = params.load(World, "world")
    users = params.load(Users, "users")
    candidates = params.load(Candidates, "candidates")
    with entry.running("prepare", None, reads=[paths.PARAMS_OK], params=[seed, world, users, candidates]):
        built = build_world(seed, world, users.per_type)
        dataset = build_dataset(seed, users, candidates, built.items, built.interactions, SETS)
        write_world(built)
        write_dataset(seed, dataset, TemplateTeacher(built.themes, built.items))
        figures = {"items": built.items.height, **counts(dataset), **examine(dataset, built)}
        files.write_json(figures, Path("metrics/data.json"))


def examine(dataset: Dataset, built: BuiltWorld) -> dict[str, object]:
    """Stop if a test answer leaks; how hard the test lists of each set are."""
    sets, past = dataset.records, dataset.training_past
    refuse({f"set {w}": audit(Evidence(r, built.items, built.interactions, past)) for w, r in sets.items()})
    return {"leaks": 0, "difficulty": {w: difficulty.report(r["test"], built.items, past) for w, r in sets.items()}}


def write_world(built: BuiltWorld) -> None:
    """The items all stages read, and the truth only the reference rankers may see."""
    tables.write(built.items, paths.ITEMS, ITEMS)
    with files.whole(paths.WORLD) as folder:
        tables.write(built.item_truth, folder / "item_truth.parquet", ITEM_TRUTH)
        tables.write(built.user_truth, folder / "user_truth.parquet", USER_TRUTH)
        files.write_json(built.themes, folder / "themes.json")


def write_dataset(seed: int, dataset: Dataset, teacher: TemplateTeacher) -> None:
    """Per set: training and development records by model (with outputs), preference and test records (without)."""
    records = {}
    for which, roles in dataset.records.items():
        for role in ("train", "development"):
            for model, own in by_model(with_outputs(roles[role], teacher)).items():
                records[f"set{which}/{model}/{role}"] = own
        records |= {f"set{which}/{role}": roles[role] for role in ("preference", "test")}
    preferences = {f"set{which}": pairs(seed, roles["preference"]) for which, roles in dataset.records.items()}
    tables.write_all(records, paths.RECORDS, RECORDS)
    tables.write_all(preferences, PREFERENCE_PAIRS, PREFERENCES)
    tables.write_all(dataset.interactions, paths.INTERACTIONS, SEEN)


if __name__ == "__main__":
    entry.start(main)
