"""Records round-trip through a hub, by the real client and the real command."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from kitrec.core import params, tables
from kitrec.core.domains import KITREC
from kitrec.core.errors import InputError
from kitrec.hub import selection
from kitrec.hub.rows import salted_id
from kitrec.preprocessing.dataset import by_model
from kitrec.schemas.items import ITEMS
from kitrec.schemas.records import RECORDS
from kitrec.sources.kitrec_hub import dataset_names
from kitrec.synthetic.teacher import TemplateTeacher, with_outputs
from tests.conftest import CANDIDATES, ROOT
from tests.hub_server import Hub, serve

SALT = "0123456789abcdef"


@dataclass
class Publisher:
    """A project folder with tables, and a hub to publish to."""

    folder: Path
    hub: Hub

    def kitrec(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        variables = {
            "HF_ENDPOINT": self.hub.url,
            "HF_HOME": str(self.folder / "cache"),
            "HF_HUB_DISABLE_XET": "1",
            "HF_TOKEN": "hf_secret",
            "KITREC_SALT": SALT,
            "PYTHONPATH": str(ROOT),
            "COLUMNS": "200",
        }
        command = [sys.executable, "-c", "from kitrec.cli.main import main; main()", *arguments]
        variables = {k: v for k, v in {**environment_without_hf(), **variables, **environment}.items() if v}
        return subprocess.run(
            command, cwd=self.folder, env=variables, capture_output=True, text=True, timeout=120, check=False
        )


def environment_without_hf() -> dict[str, str]:
    """Return the environment without settings of the hub's client."""
    return {key: value for key, value in os.environ.items() if not key.startswith("HF_")}


@pytest.fixture(scope="module")
def publisher(tmp_path_factory, world, dataset):
    folder = tmp_path_factory.mktemp("project")
    teacher = TemplateTeacher(world.themes, world.items)
    for which, roles in dataset.records.items():
        for role in ("train", "development"):
            for model, table in by_model(with_outputs(roles[role], teacher), KITREC).items():
                tables.write(table, folder / f"data/records/set{which}/{model}/{role}.parquet", RECORDS)
        for role in ("preference", "test"):
            tables.write(roles[role], folder / f"data/records/set{which}/{role}.parquet", RECORDS)
    tables.write(world.items, folder / "data/items.parquet", ITEMS)
    text = (ROOT / "params.yaml").read_text()
    (folder / "params.yaml").write_text(text.replace("  count: 20", f"  count: {CANDIDATES.count}"))
    for name in ("conf", "base"):
        (folder / name).symlink_to(ROOT / name)
    hub = Hub()
    server = serve(hub)
    yield Publisher(folder, hub)
    server.shutdown()


def test_nothing_is_uploaded_without_push(publisher):
    shown = publisher.kitrec("hub", "push-data", "me", "--all", HF_TOKEN="")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.count("dry run") == 12 and not publisher.hub.commits


def test_a_dry_run_needs_no_salt_shows_whole_names_and_leaves_the_folders_to_be_looked_at(publisher, dataset):
    shown = publisher.kitrec("hub", "push-data", "me", "--set", "A", "--all", KITREC_SALT="", HF_TOKEN="", COLUMNS="80")
    assert shown.returncode == 0, shown.stderr
    names = [f"kitrec-{kind}-seta" for kind in selection.data_types()]
    assert all(f"me/{name} " in shown.stdout for name in names) and "…" not in shown.stdout
    folder = publisher.folder / "report/hub"
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)  # of this run, none of the earlier one
    rows = [json.loads(line) for line in (folder / "kitrec-test-seta/test.jsonl").read_text().splitlines()]
    users = set(dataset.records["A"]["test"]["user_id"])
    assert rows and not users & {row["metadata"]["user_id"] for row in rows}
    assert not publisher.hub.commits


def test_an_interrupted_run_resumes_and_a_third_uploads_nothing(publisher):
    publisher.hub.refuse_commits_after = 5
    broken = publisher.kitrec("hub", "push-data", "me", "--all", "--push")
    assert (
        broken.returncode == 1 and "was not uploaded completely" in broken.stderr and "Traceback" not in broken.stderr
    )
    assert len(publisher.hub.commits) == 5
    publisher.hub.refuse_commits_after = 10**9
    assert publisher.kitrec("hub", "push-data", "me", "--all", "--push").returncode == 0
    assert sorted(publisher.hub.commits) == sorted(f"me/{name}" for name in dataset_names())
    again = publisher.kitrec("hub", "push-data", "me", "--all", "--push")
    assert again.stdout.count("unchanged") == 12 and len(publisher.hub.commits) == 12
    assert all(publisher.hub.private.values()) and publisher.hub.tokens == {"Bearer hf_secret"}


def test_published_users_are_salted_and_cards_hold_no_item_text(publisher, dataset, world):
    users = {user for roles in dataset.records.values() for table in roles.values() for user in table["user_id"]}
    titles = set(world.items["title"].drop_nulls())
    for (_, name), files in publisher.hub.repositories.items():
        card = files["README.md"].decode()
        assert name.removeprefix("me/") in card and not [t for t in titles if t in card]
        rows = [
            json.loads(line) for path, body in files.items() if path.endswith("jsonl") for line in body.splitlines()
        ]
        assert f"{len(rows):,} rows" in card
        assert not users & {row["metadata"]["user_id"] for row in rows}
    assert salted_id("u1", b"a" * 16) != salted_id("u1", b"b" * 16) != salted_id("u2", b"b" * 16)


def test_published_data_is_read_by_pinned_commit_also_offline(publisher, dataset):
    names = dict(dataset_names())
    first = next(iter(names))
    publisher.hub.repositories["datasets", f"me/{first.replace('_', '-')}"] = publisher.hub.repositories.pop(
        ("datasets", f"me/{first}")
    )  # one in the older spelling
    text = (publisher.folder / "params.yaml").read_text()
    hub_source = text.replace("kind: synthetic", "kind: hub").replace("owner: Younggooo", "owner: me")
    (publisher.folder / "params.yaml").write_text(hub_source)
    pinned = publisher.kitrec("doctor", "--pin")
    assert "source.hub.revisions: 12 data sets of me" in pinned.stdout, pinned.stdout + pinned.stderr
    revisions = params.read(publisher.folder / "params.yaml")["source"]["hub"]["revisions"]
    assert first.replace("_", "-") in revisions and len(revisions) == 12
    online = fetched(publisher, revisions)
    publisher.hub.repositories.clear()
    offline = fetched(publisher, revisions, HF_HUB_OFFLINE="1")
    assert online == offline
    expected = dataset.records["A"]["test"].sort("record_id")
    got = online["A test"]
    assert got["gt_item_id"] == expected["gt_item_id"].to_list()
    assert got["candidate_ids"] == expected["candidate_ids"].to_list()
    assert got["core"] == expected["core"].to_list()


READ = """
import json, sys
from pathlib import Path
from kitrec.sources import kitrec_hub, kitrec_dataset
from kitrec.sources.quarantine import Quarantine
revisions, rejects = json.loads(sys.argv[1]), Quarantine()
given = kitrec_dataset.load_dataset(kitrec_hub.fetch("me", revisions), 1, 0.25, int(sys.argv[2]), rejects, quiet=True)
assert not rejects.rejects, rejects.rejects[:3]
print(json.dumps({f"{w} {role}": own.select("gt_item_id", "candidate_ids", "core").to_dict(as_series=False)
    for w, roles in given.dataset.records.items() for role, own in roles.items()}))
"""


def fetched(publisher, revisions, **environment):
    variables = {"HF_ENDPOINT": publisher.hub.url, "HF_HOME": str(publisher.folder / "cache"), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", READ, json.dumps(revisions), str(CANDIDATES.count)]
    env = {**environment_without_hf(), **variables, **environment}
    done = subprocess.run(command, cwd=publisher.folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("kind", "which", "everything", "said"),
    [
        ("dualft_movies", None, False, "needs --set A or --set B"),
        ("other", "A", False, "--model-type is one of dualft_movies"),
        (None, "C", True, "--set is A or B"),
        (None, None, False, "give --model-type"),
        ("val", "A", True, "give --model-type"),
    ],
)
def test_an_invalid_selection_is_explained(kind, which, everything, said):
    with pytest.raises(InputError, match=said):
        selection.select_data_sets(kind, which, everything=everything)


def test_selections_match_the_specification():
    assert selection.select_data_sets("dualft_movies", "A", everything=False) == {
        "kitrec-dualft_movies-seta": ("A", "dualft_movies")
    }
    assert len(selection.select_data_sets(None, "A", everything=True)) == 6
    assert len(selection.select_data_sets(None, None, everything=True)) == 12
    assert list(selection.select_models("singleft_music", "B", everything=False)) == [
        "kitrec-singleft-music-setB-model"
    ]
    assert len(selection.select_models(None, None, everything=True)) == 8


def test_a_salt_and_a_token_are_required(publisher):
    pushed = publisher.kitrec("hub", "push-data", "me", "--all", "--push", KITREC_SALT="")
    assert "KITREC_SALT must be a secret" in pushed.stderr and pushed.returncode == 1
    refused = publisher.kitrec("hub", "push-data", "you", "--model-type", "val", "--set", "A", "--push", HF_TOKEN="")
    assert "HF_TOKEN is not set" in refused.stderr and refused.returncode == 1
