"""The ThinkRec plan's record (its section 1), as others write it: read, trained on, scored.

thinkrec_example.json has the structure of the published example, with numbers where that has `[...]`."""

import base64
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
import torch.nn.functional as F
from ruamel.yaml import YAML
from typer.testing import CliRunner

from kitrec.cli.main import app
from kitrec.core.errors import InputError
from kitrec.thinkrec.objective import Outputs, loss
from kitrec.thinkrec.records import Record, read_records, write_records
from kitrec.thinkrec.samples import samples
from kitrec.thinkrec.yes_no_ranking import TransformersScorer
from tests.conftest import ROOT
from tests.thinkrec.made_thinkrec import made_composer, made_model, made_objective

EXAMPLE = Path(__file__).with_name("thinkrec_example.json")
WITH_ITEM = "A reader liked <ItemTitleList>. Which item comes next?"
YES_NO = "Would a reader of <ItemTitleList> enjoy <TargetItemTitle>?"


def made_example(**changed) -> dict:
    line = json.loads(EXAMPLE.read_text()) | changed
    return {key: value for key, value in line.items() if value is not None}


def read(tmp_path: Path, *lines: dict):
    path = tmp_path / "records.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return read_records(path)


def test_the_example_is_read_as_it_stands(tmp_path):
    found = read(tmp_path, made_example())
    plain, explained = found.records  # its reason makes it a sample of both kinds
    assert (plain.user, plain.history, plain.target) == ("208", ("7", "31", "66", "84"), "140")
    assert (plain.mode, plain.reason, explained.mode) == ("v2", None, "v1")
    assert explained.reason is not None and explained.reason.startswith("Yes. The user keeps choosing")
    assert found.users is not None and found.users.find("208").tolist() == [0.25, -1, 0.5, 2]
    assert found.items is not None and found.items.find("140").tolist() == [1.5, 0.125, -0.75, 0]
    assert found.items.find("84").tolist() == [0, 0, 1, -3]
    assert found.dropped == {"contradicting_reasons": 0}


def test_an_example_without_a_reason_is_one_recommendation_sample(tmp_path):
    (only,) = read(tmp_path, made_example(reason=None)).records
    assert only.mode == "v2" and only.reason is None


@pytest.mark.parametrize("mode", ["v2", "v3"])
def test_a_reason_of_a_classification_sample_does_not_train_and_is_counted(tmp_path, mode):
    found = read(tmp_path, made_example(mode=mode), made_example(mode="v1"))
    assert [(record.mode, record.reason is None) for record in found.records] == [("v2", True), ("v1", False)]
    assert found.dropped == {"contradicting_reasons": 0, "reasons_of_recommendations": 1}


def test_the_names_of_the_plans_list_of_fields_are_read_too(tmp_path):
    line = made_example()
    line |= {"HisItemList": line.pop("HisItemIDs"), "HisItemTitleList": line.pop("HisItemTitles")}
    line["HisItem_emb_list"] = line.pop("History_embs")
    assert read(tmp_path, line).records == read(tmp_path, made_example()).records
    untitled = read(tmp_path, made_example(TargetItemTitle=None, HisItemTitles=None, reason=None)).records[0]
    assert untitled.target_title == "Unknown" and untitled.titles == ("Unknown",) * 4


@pytest.mark.parametrize("prefix", ["", "base64:"])
def test_vectors_may_be_base64(tmp_path, prefix):
    rows = np.arange(24, dtype="<f4").reshape(6, 4)
    user, target, *history = (prefix + base64.b64encode(row.tobytes()).decode() for row in rows)
    found = read(tmp_path, made_example(User_emb=user, TargetItem_emb=target, History_embs=history))
    assert found.users is not None and found.items is not None
    assert (found.users.find("208") == rows[0]).all() and (found.items.find("84") == rows[5]).all()


def test_vectors_may_be_npz_files_keyed_by_id(tmp_path):
    rows = {number: np.full(4, number, dtype=np.float32) for number in (7, 31, 66, 84, 140, 208)}
    np.savez(tmp_path / "users.npz", ids=np.array([208]), vectors=np.stack([rows[208]]))
    np.savez(tmp_path / "items.npz", **{str(number): row for number, row in rows.items() if number != 208})
    found = read(tmp_path, made_example(User_emb="users.npz", TargetItem_emb="items.npz", History_embs="items.npz"))
    assert found.users is not None and found.users.find("208").tolist() == [208] * 4
    assert found.items is not None and found.items.find("140").tolist() == [140] * 4


def test_an_npz_file_that_could_run_code_or_lies_elsewhere_is_refused(tmp_path):
    np.savez(tmp_path / "users.npz", ids=np.array(["208"]), vectors=np.array([[object()]]))
    with pytest.raises(InputError, match=r"users\.npz is no shard of vectors"):
        read(tmp_path, made_example(User_emb="users.npz"))
    (tmp_path / "inner").mkdir()
    with pytest.raises(InputError, match=r"\.\./users\.npz lies outside"):
        read(tmp_path / "inner", made_example(User_emb="../users.npz"))


# ---- An answer that is an item


def test_an_item_answer_is_read_written_and_read_again(tmp_path):
    plain, explained = read(tmp_path, made_example(answer="item")).records
    assert plain.answer == "item" and explained.answer == "yes_no"  # a rationale begins with its verdict
    write_records([plain], tmp_path / "again.jsonl")
    assert read_records(tmp_path / "again.jsonl").records == [plain]


def item_records() -> list[Record]:
    rows = [("Harbour Lights", 1), ("A Map of Tides", 0), ("Winter Ferry", 1)]
    return [Record("u1", ("i1",), ("The Salt Road",), f"i{k}", t, y, answer="item") for k, (t, y) in enumerate(rows, 2)]


def test_the_prompt_of_an_item_answer_does_not_show_the_item_and_its_answer_is_the_title(tokenizer):
    composer = made_composer(tokenizer, [YES_NO, WITH_ITEM])
    batch = samples(item_records(), composer, composer.encoder, seed=3)
    texts = [tokenizer.decode(sample.prompt.ids) for sample in batch]
    assert all("Which item comes next?" in text and "Harbour Lights" not in text for text in texts)
    assert (
        tokenizer.decode(batch[0].answer[:-1]) == "Harbour Lights"
        and batch[0].answer[-1] == composer.encoder.end_of_turn
    )
    with pytest.raises(InputError, match="every template shows it"):
        made_composer(tokenizer, [YES_NO]).compose(item_records()[0])


def test_the_loss_of_item_answers_is_binary_cross_entropy_on_the_probability_of_the_title():
    outputs = Outputs(
        yes=torch.tensor([2.0, 0.0, 0.0]),
        no=torch.tensor([1.0, 0.0, 0.0]),
        token_log_probs=torch.tensor([-0.1, -0.5, -0.7, -0.2, -0.4]),
        sample=torch.tensor([0, 1, 1, 2, 2]),
        item=torch.tensor([False, True, True]),
    )
    labels, reasoning = torch.tensor([1, 1, 0]), torch.zeros(3, dtype=torch.bool)
    classified = loss(outputs, labels, reasoning, made_objective(theta=1.0, gamma=0.0))
    p_liked, p_other = np.exp(-1.2), np.exp(-0.6)
    expected = [F.softplus(torch.tensor(-2.0)).item(), -np.log(p_liked), -np.log(1 - p_other)]
    assert classified.item() == pytest.approx(np.mean(expected), rel=1e-5)
    written = loss(outputs, labels, reasoning, made_objective(theta=0.0, gamma=1.0))
    assert written.item() == pytest.approx((0.1 + 0.5 + 0.7) / 5, rel=1e-5)  # nobody learns to write a disliked title


def test_an_item_is_scored_by_the_probability_of_its_title(tiny_base, tokenizer):
    composer, model = made_composer(tokenizer, [YES_NO, WITH_ITEM]), made_model(tiny_base, tokenizer)
    first = item_records()[0]
    record = Record("u1", ("i1",), ("The Salt Road",), "i9", "Film", 1)
    scores = TransformersScorer(model, composer, made_objective()).score_records([first, record])
    prompt = composer.compose(first).ids.tolist()
    answer = [*composer.encoder.plain("Harbour Lights"), composer.encoder.end_of_turn]
    with torch.inference_mode():
        logits = model.llm(torch.tensor([prompt + answer])).logits[0].double().log_softmax(-1)
    expected = sum(logits[len(prompt) + k - 1, token].item() for k, token in enumerate(answer))
    assert np.log(scores[0]) == pytest.approx(expected, rel=1e-4) and 0 < scores[1] < 1


# ---- The whole way, by the command


@pytest.fixture
def small_params(tmp_path, monkeypatch, tiny_base):
    """params.yaml with a few updates, in an empty folder."""
    tree = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
    tree["base"]["path"], tree["thinkrec"]["base_weights"] = str(tiny_base), "f32"
    for stage in tree["thinkrec"]["stages"].values():
        stage["training"] |= {"updates": 2, "validate_every": 1, "batch_size": 4, "micro_batch_size": 4}
    with (tmp_path / "params.yaml").open("w") as stream:
        YAML(typ="safe").dump(tree, stream)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("small_params")
def test_examples_are_loaded_trained_on_and_scored():
    lines = []
    for user in range(20):
        shown = made_example(UserID=user, User_emb=[user, 1, -1, 0.5])
        other = made_example(UserID=user, User_emb=[user, 1, -1, 0.5], TargetItemID=150, TargetItemTitle="Gravel")
        other |= {"TargetItem_emb": [0, 1, 0, 1], "label": 0, "reason": "No. It has no coast."}
        lines += [shown, other, made_example(UserID=user, User_emb=shown["User_emb"], reason=None, answer="item")]
    Path("mine.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    result = CliRunner().invoke(app, ["thinkrec-train", "mine.jsonl", "--to", "model"], catch_exceptions=False)
    assert "40 answered by Yes or No, 20 answered by an item, 40 with a rationale" in result.output
    assert Path("model/projector/projector.safetensors").exists()
    scores = pl.read_csv("model/scores.tsv", separator="\t")
    assert scores.height == 6 and scores["probability"].is_between(0, 1).all()
    assert set(scores["answer"]) == {"yes_no", "item"}
