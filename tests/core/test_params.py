import re
from pathlib import Path

import pytest

from kitrec.config.sections import validate_tree
from kitrec.core import params
from kitrec.core.errors import InputError
from kitrec.llm.finetuning.params import FineTune
from kitrec.preprocessing.params import Candidates, Data


def made_params(folder: Path, text: str) -> Path:
    path = folder / "params.yaml"
    path.write_text(text)
    return path


def test_a_section_becomes_a_frozen_dataclass(tmp_path):
    path = made_params(tmp_path, "candidates: {count: 20, same_category: 8, neighbours: 6, popularity_matched: 5}")
    section = params.load(Candidates, "candidates", path)
    assert section == Candidates(count=20, same_category=8, neighbours=6, popularity_matched=5)
    with pytest.raises(AttributeError):
        section.count = 3


def test_all_errors_of_a_section_are_reported_at_once_with_key_rule_and_way_out(tmp_path):
    path = made_params(tmp_path, "candidates: {cuont: 20, same_category: -1, neighbours: 1.5}")
    with pytest.raises(InputError) as refused:
        params.load(Candidates, "candidates", path)
    message = str(refused.value)
    assert "candidates.cuont: unknown key; did you mean `count`?" in message
    assert "candidates.count: missing" in message and "candidates.popularity_matched: missing" in message
    assert "candidates.same_category: -1 is refused" in message and "greater than or equal to 0" in message
    assert "candidates.neighbours: 1.5 is refused" in message


@pytest.mark.parametrize("text", ['candidate_set: "A", test_sets: A', "candidate_set: C, test_sets: [A]"])
def test_types_are_not_coerced(tmp_path, text):
    with pytest.raises(InputError, match="data"):
        params.load(Data, "data", made_params(tmp_path, f"data: {{{text}}}"))


def test_a_number_in_scientific_notation_is_a_number_as_for_dvc(tmp_path):
    assert params.load(float, "rate", made_params(tmp_path, "rate: 2e-4")) == 0.0002


def test_broken_rules_between_keys_are_reported_together(tmp_path, in_project):
    tree = params.read(in_project / "params.yaml")["dualft"] | {"save_steps": 7, "eval_steps": 3, "logging_steps": 2}
    lines = "\n".join(f"  {key}: {value}" for key, value in tree.items()).replace("False", "false")
    with pytest.raises(InputError) as refused:
        params.load(FineTune, "dualft", made_params(tmp_path, f"dualft:\n{lines}\n"))
    assert "multiple of eval_steps (3)" in str(refused.value) and "multiple of logging_steps (2)" in str(refused.value)


def test_a_single_value_is_validated_with_its_section(tmp_path):
    mix = "candidates: {{count: {}, same_category: 2, neighbours: 1, popularity_matched: 1}}"
    assert params.value(Candidates, "candidates.count", made_params(tmp_path, mix.format(9))) == 9
    with pytest.raises(InputError, match="must be fewer than count"):
        params.value(Candidates, "candidates.count", made_params(tmp_path, mix.format(3)))


@pytest.mark.parametrize(
    ("text", "message"),
    [("a: [1", "not valid YAML"), ("just text", "must hold sections"), ("other: 1", "data: missing")],
)
def test_an_invalid_params_file_is_reported(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        params.load(Data, "data", made_params(tmp_path, text))


def test_a_missing_params_file_is_reported(tmp_path):
    with pytest.raises(InputError, match="is missing"):
        params.read(tmp_path / "params.yaml")


UNIONS = {
    "idrec.methods.sasrec.model.dropout": "much",
    "idrec.methods.sasrec.loss.kind": "hinge",
    "idrec.methods.sasrec.model.kind": "sasrek",
    "idrec.methods.bpr_mf.training.epochs": 1.5,
    "ilora.tasks.listed_steps": "some",
    "titles.methods.tfidf.kind": "bags",
    "domains.targets": 3,
}


@pytest.mark.parametrize(("key", "value"), UNIONS.items())
def test_messages_name_the_key_as_the_file_has_it_and_no_branch_of_the_validator(in_project, key, value):
    tree = params.read(in_project / "params.yaml")
    *parents, last = key.split(".")
    node = tree
    for parent in parents:
        node = node[parent]
    node[last] = value
    with pytest.raises(InputError) as refused:
        validate_tree(tree, in_project / "params.yaml")
    lines = str(refused.value).splitlines()[1:]
    assert [line.split(": ")[0] for line in lines] == [f"  - {key}"]
    assert repr(value) in lines[0] and not re.search(r"literal\[|constrained|tuple|array|\btags?\b", lines[0])


def test_a_mapping_without_its_kind_is_reported_as_missing_it(in_project):
    tree = params.read(in_project / "params.yaml")
    tree["source"]["rationales"] = {}
    with pytest.raises(InputError, match=r"source\.rationales\.kind: missing"):
        validate_tree(tree, in_project / "params.yaml")


def test_a_kind_that_is_a_list_is_an_error_of_the_user(in_project):
    tree = params.read(in_project / "params.yaml")
    tree["idrec"]["methods"]["sasrec"]["model"]["kind"] = ["sasrec"]
    with pytest.raises(InputError, match=r"idrec\.methods\.sasrec\.model\.kind"):
        validate_tree(tree, in_project / "params.yaml")
