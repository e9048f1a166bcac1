import shutil
from pathlib import Path

import pytest
from dvc.utils.hydra import apply_overrides
from ruamel.yaml import YAML

from kitrec.config import profiles, renamed_keys, sections
from kitrec.config.overlays import ABSENT, leaves, overlay
from kitrec.config.renamed_keys import RENAMED_KEYS
from kitrec.config.sections import validate_params
from kitrec.core import params
from kitrec.core.errors import InputError
from tests.conftest import ROOT

CHOICES = [
    f"{folder.name}={p.stem}" for folder in sorted((ROOT / "conf").iterdir()) for p in sorted(folder.glob("*.yaml"))
]


@pytest.fixture
def copy(tmp_path, in_project):
    return shutil.copy(in_project / "params.yaml", tmp_path / "params.yaml")


@pytest.mark.parametrize("choice", CHOICES)
def test_every_profile_merges_validates_and_keeps_the_comments(copy, choice):
    before = copy.read_text()
    profiles.use(copy, [choice])
    validate_params(copy)
    values = overlay(choice)
    merged = leaves(params.read(copy))
    assert {key: merged.get(key, ABSENT) for key in values} == values
    assert {k: v for k, v in merged.items() if k not in values} == {
        k: v for k, v in leaves(params.read(ROOT / "params.yaml")).items() if k not in values
    }
    if ABSENT in values.values():  # the comments of what went
        return
    comments = [line.partition("#")[2] for line in before.splitlines() if "#" in line]
    assert [line.partition("#")[2] for line in copy.read_text().splitlines() if "#" in line] == comments


def test_a_profile_may_leave_out_methods_and_the_way_back_brings_them_with_their_comments(copy):
    before = copy.read_text()
    profiles.use(copy, ["dataset=books_movies", "variants=real"])
    assert params.read(copy)["infer"]["methods"] == {} and profiles.find_active(leaves(params.read(copy))) == {
        "dataset": "books_movies",
        "variants": "real",
    }
    assert [key for key, *_, by in profiles.differences(copy) if by == "by hand"] == []
    profiles.reset(copy, ["variants", "dataset"])
    assert copy.read_text() == before


def test_the_default_profiles_are_the_shipped_params(copy):
    before = copy.read_text()
    profiles.use(copy, ["dataset=default", "llm=tiny"])
    assert copy.read_text() == before


@pytest.mark.parametrize("choice", CHOICES)
def test_a_profile_as_options_sets_the_same_values(copy, tmp_path, choice):
    """Checked by the function that `dvc exp run -S` uses."""
    if ABSENT in overlay(choice).values():
        with pytest.raises(
            InputError, match="leaves methods out, which DVC's options cannot write: `kitrec profile use"
        ):
            profiles.as_options(copy, [choice])
        return
    options = " ".join(profiles.as_options(copy, [choice])).split()  # split as $(...) is
    assert options[::2] == ["-S"] * (len(options) // 2)
    other = shutil.copy(copy, tmp_path / "experiment.yaml")
    apply_overrides(other, options[1::2])
    profiles.use(copy, [choice])
    assert params.read(other) == params.read(copy)


def test_an_unknown_profile_and_an_unknown_key_change_nothing(copy):
    before = copy.read_text()
    with pytest.raises(InputError, match=r"profile 'llm=gpt' is unknown; there are: .*llm=qwen3_14b"):
        profiles.use(copy, ["llm=gpt"])
    with pytest.raises(InputError, match=r"world\.size is no key"):
        profiles.put(copy, {"world.size": 3})
    with pytest.raises(InputError, match="must be fewer than count"):
        profiles.put(copy, {"candidates.count": 5})
    assert copy.read_text() == before


def test_all_sections_are_validated_at_once(copy):
    text = copy.read_text().replace("candidate_set: A ", "candidate_set: C ").replace("epochs: 2\n", "epochs: no\n")
    copy.write_text(text.replace("seed: 42", "sed: 42"))
    with pytest.raises(InputError) as refused:
        validate_params(copy)
    message = str(refused.value)
    for part in (
        "data.candidate_set: 'C'",
        "dualft.epochs: ",
        "sed: unknown section",
        "seed: missing; did you mean `sed`?",
    ):
        assert part in message
    assert message.startswith(str(copy)) and "4 problems" in message


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("engine.max_model_len", 600, "raise it to"),
        ("world.movies", 30, "at least twice candidates.count"),
        ("evaluation.methods", ["references", "nobody"], "'nobody' has no rankings"),
        ("train.variants", ["direct"], r"kitrec_full.model: full is not trained; add it to train.variants \(direct\)"),
        ("infer.methods.kitrec_full.thinking", False, "does not fit model: full; adapters answer as they were"),
        ("data.test_sets", ["B"], "must hold candidate_set A"),
        ("dualft.lora_rank", 600, "vLLM serves ranks up to 512"),
        ("launch.sharding", "fsdp", "spreads one model over several processes; raise processes"),
        ("preference.models", ["dualft-x"], "'dualft-x' is no fine-tuned model"),
        ("infer.budgets.thought_tokens", 300, r"\(1024\) and the 396 tokens .* gives kitrec_full; raise it to 1420"),
        (
            "infer.methods.kitrec_full.max_new_tokens",
            128,
            r"moved to `infer\.budgets\.item_tokens`, .*; remove it here",
        ),
        ("infer.methods.base_cot.thinking_budget", 96, r"moved to `infer\.budgets\.thought_tokens`"),
        ("infer.methods.kitrec_full.steps", "llm4cdr", "prompts the base in three steps"),
        ("infer.methods.kitrec_full.model", "preferred", "is not trained for dualft-movies"),
        ("rationales.methods", ["nobody"], "'nobody' is no method"),
        ("judge.methods", ["references"], "judge.methods: 'references' is no method"),
        ("judge.pairs", [["kitrec_full", "base_direct"]], "kitrec_full is not judged; add it to methods"),
        ("prompt.text", "published", "source.kind synthetic has no published prompts; set rendered, or kitrec or hub"),
        ("ilora.tasks.topk", 30, r"no more than candidates"),
        ("judge.endpoint.url", "https://api.example.org/v1", "input_price and output_price of .* must be set"),
    ],
)
def test_rules_between_sections_hold(copy, key, value, message):
    with pytest.raises(InputError, match=message):
        profiles.put(copy, {key: value})


def test_published_prompts_are_of_kitrecs_files_and_have_no_labels(copy):
    profiles.use(copy, ["dataset=kitrec_hub"])
    profiles.put(copy, {"prompt.text": "published"})
    with pytest.raises(InputError, match=r"prompt.labels: published prompts have none; set labels to false"):
        profiles.put(copy, {"prompt.labels": True})


def test_a_student_has_the_history_of_its_teacher(copy):
    profiles.use(copy, ["variants=distilled"])
    with pytest.raises(InputError, match=r"sasrec.student.history: oracle ranks by the history of both; set that"):
        profiles.put(copy, {"distillation.settings.sasrec.student.history": "target"})


def test_encoders_are_sequence_models_not_trained_on_development_users(copy):
    profiles.use(copy, ["variants=thinkrec"])
    profiles.put(copy, {"idrec.train": ["sasrec", "bpr_mf", "conet"], "thinkrec.encoders": ["bpr_mf"]})
    with pytest.raises(InputError, match="conet is no trained sequence model or bpr_mf"):
        profiles.put(copy, {"thinkrec.encoders": ["conet"]})
    with pytest.raises(InputError, match="bpr_mf is no trained sequence model;"):
        profiles.put(copy, {"ilora.encoders": ["bpr_mf"]})
    with pytest.raises(InputError, match="is also trained on the development users' answers"):
        profiles.put(copy, {"thinkrec.encoders": ["sasrec"], "idrec.methods.sasrec.training.mode": "full_data"})


def test_a_teacher_is_made_or_imported(copy, monkeypatch, tmp_path):
    profiles.use(copy, ["variants=distilled"])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"'mine' does not exist.*kitrec teacher from-text"):
        profiles.put(copy, {"distillation.teachers": ["oracle", "mine"], "evaluation.methods": ["references"]})
    (tmp_path / "data/teachers/mine").mkdir(parents=True)
    (tmp_path / "data/teachers/mine/lists.parquet").touch()
    profiles.put(copy, {"distillation.teachers": ["oracle", "mine"], "evaluation.methods": ["references"]})
    with pytest.raises(InputError, match="teachers_to_rank: ensemble is not in teachers_to_build"):
        profiles.put(copy, {"distillation.teachers_to_build": ["oracle"]})


@pytest.mark.parametrize(
    ("old", "new", "key", "name"),
    [
        ("  permutations: 10000 ", "  flips: 10000 ", "evaluation.flips", "permutations"),
        ("    max_concurrency: 8 ", "    at_once: 8 ", "judge.endpoint.at_once", "max_concurrency"),
        ("  records_per_type: 5 ", "  per_type: 5 ", "judge.per_type", "records_per_type"),
    ],
)
def test_a_renamed_key_is_reported_once_with_its_new_name(copy, old, new, key, name):
    text = copy.read_text()
    assert old in text
    copy.write_text(text.replace(old, new))
    with pytest.raises(InputError) as refused:
        validate_params(copy)
    assert str(refused.value) == f"{copy}: 1 problem\n  - {key}: renamed to `{name}`"
    with pytest.raises(InputError, match=f"^{key}: renamed to `{name}`$"):
        profiles.put(copy, {key: 5})


def test_renamed_parents_are_reported_for_their_old_path(copy, monkeypatch):
    monkeypatch.setattr(renamed_keys, "RENAMED_KEYS", {**RENAMED_KEYS, "judging": "judge", "judge.rounds": "repeats"})
    text = copy.read_text()
    copy.write_text(text.replace("\njudge: ", "\njudging: ").replace("  repeats: 2 ", "  rounds: 2 "))
    with pytest.raises(InputError) as refused:
        validate_params(copy)
    message = str(refused.value)
    assert "2 problems" in message
    assert "judging: renamed to `judge`" in message and "judging.rounds: renamed to `repeats`" in message


def test_no_current_key_counts_as_renamed(in_project):
    for key in leaves(params.read(in_project / "params.yaml")):
        assert not list(sections.renamed_parts(key)), key


def resolved(path: Path) -> dict[str, object]:
    return leaves(YAML(typ="safe").load(path.read_text()))


@pytest.mark.parametrize("key", ["idrec.methods.sasrec.training.epochs", "idrec.methods.gru4rec.training.epochs"])
def test_a_profile_changes_no_setting_that_others_inherit(tmp_path, key):
    path = tmp_path / "params.yaml"
    shutil.copy(ROOT / "params.yaml", path)
    before = resolved(path)
    profiles.put(path, {key: 7})
    assert resolved(path) == before | {key: 7}


@pytest.mark.parametrize(
    "key", ["idrec.methods.sasrec.training.epochs", "distillation.settings.gru4rec.ranking.weight", "world.movies"]
)
def test_an_override_of_dvc_changes_no_setting_that_others_inherit(tmp_path, key):
    path = tmp_path / "params.yaml"
    shutil.copy(ROOT / "params.yaml", path)
    before = resolved(path)
    apply_overrides(path, [f"{key}=77"])  # what `dvc exp run -S` does
    assert resolved(path) == before | {key: 77}


def test_params_fit_on_few_screens():
    assert (ROOT / "params.yaml").read_text().count("\n") <= 400
