"""Make the data the pipeline stands on.   python -m stages.prepare
Reads nothing but params (the synthetic world grows from its seed); writes data/items.parquet, data/world, data/records,
data/interactions, metrics/data.json."""

from pathlib import Path

from kitrec import files, params, tables
from kitrec.contracts.items import ITEMS
from kitrec.contracts.records import RECORDS
from kitrec.contracts.seen import SEEN
from kitrec.domains import SETS
from kitrec.prep.dataset import Dataset, build_dataset, by_model, counts
from kitrec.prep.params import Candidates, Users
from kitrec.world.build import BuiltWorld, build_world
from kitrec.world.histories import USER_TRUTH
from kitrec.world.items import ITEM_TRUTH
from kitrec.world.params import World
from kitrec.world.teacher import TemplateTeacher, with_outputs
from stages import entry, paths


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
        write_dataset(dataset, TemplateTeacher(built.themes, built.items))
        files.write_json({"items": built.items.height, **counts(dataset)}, Path("metrics/data.json"))


def write_world(built: BuiltWorld) -> None:
    """The items all stages read, and the truth only the reference rankers may see."""
    tables.write(built.items, paths.ITEMS, ITEMS)
    with files.whole(paths.WORLD) as folder:
        tables.write(built.item_truth, folder / "item_truth.parquet", ITEM_TRUTH)
        tables.write(built.user_truth, folder / "user_truth.parquet", USER_TRUTH)
        files.write_json(built.themes, folder / "themes.json")


def write_dataset(dataset: Dataset, teacher: TemplateTeacher) -> None:
    """Per set: training and development records by model (with outputs), preference and test records (without)."""
    records = {}
    for which, roles in dataset.records.items():
        for role in ("train", "development"):
            for model, own in by_model(with_outputs(roles[role], teacher)).items():
                records[f"set{which}/{model}/{role}"] = own
        records |= {f"set{which}/{role}": roles[role] for role in ("preference", "test")}
    tables.write_all(records, paths.RECORDS, RECORDS)
    tables.write_all(dataset.interactions, paths.INTERACTIONS, SEEN)


if __name__ == "__main__":
    entry.start(main)
