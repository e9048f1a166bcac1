"""From tables to a folder and back, on the shipped base."""

import json
import math

import numpy as np
import polars as pl
import pytest
import torch
from safetensors import safe_open

from kitrec.core import files, tables
from kitrec.core.errors import InputError
from kitrec.core.shards import Clocked, in_shards
from kitrec.ilora.export import item_embeddings, rank, scores
from kitrec.ilora.learning import TrainingData, new_teacher, train_teacher, writer_for
from kitrec.ilora.params import Curriculum
from kitrec.ilora.sequence_encoder import Eyes
from kitrec.ilora.storage import load_teacher, params_of, save_teacher
from kitrec.ilora.tasks import tasks_of
from kitrec.llm.base.pinning import PinnedBase, pin
from kitrec.llm.base.precision import load_in
from kitrec.llm.finetuning.params import Base
from kitrec.prompts.tokens import Encoder
from kitrec.schemas.teacher_lists import KEY, TEACHER
from kitrec.training.progress import training_bar
from tests.ilora.made_teachers import GATES, a_choice, a_course, a_mixture, ilora_params, stored_eyes

IDS = [f"I{k:02}" for k in range(30)]
FACTS = {"categories": ["Fjord"], "average_rating": 4.0, "description": None}
ITEMS = {item: {"title": f"Calm River {k}", **FACTS} for k, item in enumerate(IDS)}
SEQUENCES = {f"u{k}": [IDS[(5 * k + j) % 28] for j in range(4)] for k in range(6)}
KNOWN = IDS[:28]  # the eyes never saw the last two


@pytest.fixture(scope="module")
def base(tiny_base) -> PinnedBase:
    return pin(Base(path=str(tiny_base), revision=None))


def tasks(seen: int, count: int = 5):
    return tasks_of(SEQUENCES, {u: [seen] for u in SEQUENCES}, "music", IDS, count, seed=1)


def params(**changed):
    course = a_course(
        epochs=2, batch=2, accumulation=1, judge_every=3, curriculum=Curriculum(text_until=0, hybrid_from=0)
    )
    return ilora_params(**({"course": course, "choice": a_choice(answer="id")} | changed))


def given(work) -> TrainingData:
    return TrainingData(3, ITEMS, tasks(2), tasks(3), work)


@pytest.fixture(scope="module")
def trained(base, tmp_path_factory):
    folder = tmp_path_factory.mktemp("teacher")
    rows = []
    train_teacher(
        params(), base, stored_eyes(KNOWN), given(folder / "work"), lambda p: rows.append(p.rows[-1]), folder / "to"
    )
    return folder / "to", rows


def loaded(trained, base):
    p = params_of(trained[0])
    teacher = load_teacher(trained[0], load_in(base, p.base_weights), base, Eyes(stored_eyes(KNOWN)))
    return teacher, writer_for(teacher, Encoder(_tokenizer(base)), ITEMS, p)


def _tokenizer(base):
    from kitrec.llm.base.loading import load_tokenizer

    return load_tokenizer(base)


def test_a_folder_tells_how_it_was_made(trained):
    folder, rows = trained
    assert sorted(path.name for path in folder.iterdir()) == ["learned.safetensors", "teacher.json"]
    told = files.read_json(folder / "teacher.json")["told"]
    assert told["val_loss"] == pytest.approx(min(row["val_loss"] for row in rows), abs=1e-6)
    assert told["tasks"] == 6
    assert params_of(folder) == params()
    with safe_open(folder / "learned.safetensors", "pt") as file:
        assert "experts.model/layers/0/self_attn/q_proj.inner" in file.keys()  # noqa: SIM118  it is no dict
        assert "gate.weigh.weight" in file.keys()  # noqa: SIM118


def test_a_loaded_teacher_gives_the_same_bytes(trained, base, tmp_path):
    one, writer = loaded(trained, base)
    save_teacher(one, params_of(trained[0]), base, {}, tmp_path / "again")
    other = load_teacher(tmp_path / "again", load_in(base, params().base_weights), base, Eyes(stored_eyes(KNOWN)))
    asked = tasks(3)
    for a, b in zip(
        scores(one, asked, writer, per_token=False), scores(other, asked, writer, per_token=False), strict=True
    ):
        assert a.tobytes() == b.tobytes()
    assert files.sha256(tmp_path / "again/learned.safetensors") == files.sha256(trained[0] / "learned.safetensors")


def test_a_broken_off_training_writes_the_same_file(trained, base, tmp_path):
    def stop(_):
        raise KeyboardInterrupt

    for told in (stop, lambda _: None):
        try:
            train_teacher(params(), base, stored_eyes(KNOWN), given(tmp_path / "work"), told, tmp_path / "to")
        except KeyboardInterrupt:
            continue
    assert files.sha256(tmp_path / "to") == files.sha256(trained[0])


def test_what_belongs_to_something_else_is_refused(trained, base, tmp_path):
    folder = trained[0]
    with pytest.raises(InputError, match="other eyes"):
        load_teacher(folder, load_in(base, params().base_weights), base, Eyes(stored_eyes(KNOWN, seed=1)))
    elsewhere = PinnedBase(base.path, None, "sha256:0")
    with pytest.raises(InputError, match="other base"):
        load_teacher(folder, load_in(base, params().base_weights), elsewhere, Eyes(stored_eyes(KNOWN)))
    (tmp_path / "t").mkdir()
    (tmp_path / "t/teacher.json").write_text((folder / "teacher.json").read_text())
    (tmp_path / "t/learned.safetensors").write_bytes((folder / "learned.safetensors").read_bytes()[:100])
    with pytest.raises(InputError, match="no whole teacher"):
        load_teacher(tmp_path / "t", load_in(base, params().base_weights), base, Eyes(stored_eyes(KNOWN)))
    about = json.loads((folder / "teacher.json").read_text())
    about["params"]["mixture"]["experts"] = 3
    files.write_json(about, tmp_path / "t/teacher.json")
    with pytest.raises(InputError, match="other params"):
        params_of(tmp_path / "t")


def test_a_ranking_is_that_of_the_likelihoods_and_its_distances_are_probabilities(trained, base, tmp_path):
    teacher, writer = loaded(trained, base)
    asked = tasks(3)
    found = rank(teacher, asked, writer, 3, per_token=False)
    tables.write(found, tmp_path / "t.parquet", TEACHER)
    values = scores(teacher, asked, writer, per_token=False)
    assert found.select(*KEY, truth="next_id").equals(asked.select(*KEY, "truth"))
    for row, own, listed in zip(found.iter_rows(named=True), values, asked["candidates"].to_list(), strict=True):
        p = np.exp(own - own.max()) / np.exp(own - own.max()).sum()
        assert row["item_ids"] == [listed[k] for k in np.argsort(-own)[:3]]
        assert [math.exp(-c) for c in row["distances"]] == pytest.approx(sorted(p, reverse=True)[:3])
        assert row["distances"] == sorted(row["distances"])


def test_rankings_do_not_depend_on_shards_or_order_of_rows(trained, base, tmp_path):
    teacher, writer = loaded(trained, base)
    asked = tasks(3)
    whole = rank(teacher, asked, writer, 3, per_token=False)
    turned = asked.reverse()
    made = Clocked(lambda part: rank(teacher, turned[part], writer, 3, per_token=False))
    parts = in_shards(asked.height, 2, tmp_path, TEACHER, made).reverse()
    assert made.rows == asked.height
    assert parts["item_ids"].equals(whole["item_ids"])
    assert np.abs(parts["distances"].explode() - whole["distances"].explode()).max() < 1e-4


def test_a_list_too_short_is_refused(trained, base):
    teacher, writer = loaded(trained, base)
    with pytest.raises(InputError, match="only 5 candidates"):
        rank(teacher, tasks(3), writer, 6, per_token=False)
    assert rank(teacher, tasks(3).head(0), writer, 6, per_token=False).height == 0


def test_an_items_embedding_is_the_mean_of_its_states_whoever_is_beside_it(trained, base):
    teacher, writer = loaded(trained, base)
    histories = [own[:2] for own in SEQUENCES.values()]
    own = item_embeddings(teacher, ["I29", "I00", "I07"], writer, histories)
    ids, found = own.item_ids, own.vectors
    assert ids == ["I29", "I00", "I07"]
    assert found.shape == (3, 192) and found.dtype == np.float32
    gate = teacher.gates(teacher.eyes.seen(histories)).mean(0, keepdim=True)
    for item, own in zip(ids, found, strict=True):
        line = torch.tensor([Encoder(_tokenizer(base)).plain(f"- Calm River {int(item[1:])} | Fjord\n")])
        with torch.no_grad(), teacher.speaking(gate):
            states = teacher.base(input_ids=line, output_hidden_states=True).hidden_states[-1][0]
        assert np.abs(states.mean(0).numpy() - own).max() < 1e-4


def test_what_the_eyes_see():
    stored = stored_eyes(KNOWN)
    eyes = Eyes(stored)
    seen = eyes.seen([["I00", "I05"], [], ["I29"], ["I29", "I00", "I05"]])
    assert seen.shape == (4, 16)
    assert not seen[1].any() and not seen[2].any()  # nothing known
    assert torch.equal(seen[0], seen[3])  # what is unknown is not there
    scored = stored.candidate_scores(_sequences([[1, 6]]), np.array([[3, 9]]))
    torch.testing.assert_close(seen[0] @ eyes.vectors[[2, 8]].T, torch.from_numpy(scored[0]))
    assert not any(own.requires_grad for own in stored.model.parameters())


def test_the_likeliest_are_those_of_the_models_own_scores():
    stored = stored_eyes(KNOWN)
    histories = [["I00", "I05"], ["I07"]]
    found = Eyes(stored).likeliest(histories, IDS[3:], 6)
    numbers = np.arange(4, 29)
    scored = stored.candidate_scores(_sequences([[1, 6], [8]]), np.stack([numbers, numbers]))
    for own, row, history in zip(found, scored, histories, strict=True):
        order = [KNOWN[numbers[k] - 1] for k in np.argsort(-row)]
        assert own == [item for item in order if item not in history][:6]
    with pytest.raises(InputError, match="leave fewer than 27"):
        Eyes(stored).likeliest(histories, IDS, 27)
    # a long history of other items takes nothing from the pool
    assert len(Eyes(stored).likeliest([[f"B{k}" for k in range(99)]], IDS, 27)[0]) == 27


def _sequences(lists):
    from kitrec.recommenders.data.sequences import of_lists

    return of_lists(lists)


@pytest.mark.parametrize("gate", GATES)
def test_every_gate_can_be_stored(base, tmp_path, gate):
    p = params(mixture=a_mixture(gate=GATES[gate]))
    eyes = Eyes(stored_eyes(KNOWN))
    teacher = new_teacher(p, load_in(base, p.base_weights), eyes, seed=1)
    save_teacher(teacher, p, base, {}, tmp_path / "t")
    assert params_of(tmp_path / "t") == p
    again = load_teacher(tmp_path / "t", load_in(base, p.base_weights), base, eyes)
    drawn = torch.randn(3, 16)
    teacher.train(False)
    assert torch.equal(again.gates(drawn), teacher.gates(drawn))


def test_a_teacher_of_text_alone_has_no_words(trained, base):
    teacher, _ = loaded(trained, base)
    p = params(choice=a_choice(hybrid=False))
    asked = writer_for(teacher, Encoder(_tokenizer(base)), ITEMS, p).ask(["I00"], ["I01", "I02"], "I01")
    assert max(asked.text) < teacher.words


def test_a_teacher_on_nf4_learns_and_comes_back(base, tmp_path):
    p = params(base_weights="nf4", course=a_course(epochs=1, judge_every=3, learning_rate=1e-2))
    with training_bar("teacher", 1, "val_loss", quiet=True, unit="update") as told:
        progress = train_teacher(p, base, stored_eyes(KNOWN), given(tmp_path / "work"), told, tmp_path / "to")
    assert all(math.isfinite(row["val_loss"]) for row in progress.rows)
    teacher = load_teacher(tmp_path / "to", load_in(base, p.base_weights), base, Eyes(stored_eyes(KNOWN)))
    writer = writer_for(teacher, Encoder(_tokenizer(base)), ITEMS, p)
    found = rank(teacher, tasks(3), writer, 3, per_token=False)
    assert found["distances"].explode().is_finite().all()
    assert found.schema == pl.Schema(TEACHER.columns)
