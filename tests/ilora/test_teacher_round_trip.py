"""A teacher from tables of tasks to a folder and back, on the shipped base."""

import json
import math

import numpy as np
import polars as pl
import pytest
import torch
from safetensors import safe_open

from kitrec.core import files, tables
from kitrec.core.errors import InputError
from kitrec.core.shards import TimedShards, compute_in_shards
from kitrec.ilora import export
from kitrec.ilora.export import item_embeddings, rank_candidates, score_candidates
from kitrec.ilora.params import Curriculum
from kitrec.ilora.sequence_encoder import SequenceEncoder
from kitrec.ilora.storage import load_teacher, params_of, save_teacher
from kitrec.ilora.tasks import build_tasks
from kitrec.ilora.teacher import new_teacher, prompt_builder_for
from kitrec.ilora.training import TrainingData, train_teacher
from kitrec.llm.base.loading import load_base, load_tokenizer
from kitrec.llm.base.params import Base
from kitrec.llm.base.pinning import PinnedBase, pin
from kitrec.prompts.tokens import Encoder
from kitrec.recommenders.data.sequences import sequences_from_lists
from kitrec.schemas.teacher_lists import KEY, TEACHER_LISTS
from kitrec.training.progress import training_bar
from tests.ilora.made_teachers import (
    GATES,
    made_mixture,
    made_params,
    made_prompt_config,
    made_stored_model,
    made_training_config,
)

IDS = [f"I{k:02}" for k in range(30)]
FEATURES = {"categories": ["Fjord"], "average_rating": 4.0, "description": None}
ITEMS = {item: {"title": f"Calm River {k}", **FEATURES} for k, item in enumerate(IDS)}
SEQUENCES = {f"u{k}": [IDS[(5 * k + j) % 28] for j in range(4)] for k in range(6)}
ENCODER_IDS = IDS[:28]  # the last two are unknown to the encoder


@pytest.fixture(scope="module")
def base(tiny_base) -> PinnedBase:
    return pin(Base(path=str(tiny_base), revision=None))


def made_tasks(prefix_length: int, count: int = 5):
    return build_tasks(SEQUENCES, {user: [prefix_length] for user in SEQUENCES}, "music", IDS, count, seed=1)


def params(**changed):
    curriculum = Curriculum(text_until=0, hybrid_from=0)
    training = made_training_config(
        epochs=2, batch_size=2, gradient_accumulation_steps=1, validate_every=3, curriculum=curriculum
    )
    return made_params(**({"training": training, "prompt": made_prompt_config(answer="id")} | changed))


def training_data(work) -> TrainingData:
    return TrainingData(3, ITEMS, made_tasks(2), made_tasks(3), work)


def encoder(seed: int = 0) -> SequenceEncoder:
    return SequenceEncoder(made_stored_model(ENCODER_IDS, seed=seed))


@pytest.fixture(scope="module")
def trained(base, tmp_path_factory):
    folder = tmp_path_factory.mktemp("teacher")
    rows, stored = [], made_stored_model(ENCODER_IDS)
    train_teacher(
        params(), base, stored, training_data(folder / "work"), lambda p: rows.append(p.rows[-1]), folder / "to"
    )
    return folder / "to", rows


def loaded(trained, base):
    p = params_of(trained[0])
    teacher = load_teacher(trained[0], load_base(base, p.base_weights), base, encoder())
    return teacher, prompt_builder_for(teacher, Encoder(load_tokenizer(base)), ITEMS, p)


def test_a_folder_states_how_its_teacher_was_trained(trained):
    folder, rows = trained
    assert sorted(path.name for path in folder.iterdir()) == ["learned.safetensors", "teacher.json"]
    metrics = files.read_json(folder / "teacher.json")["metrics"]
    assert metrics["val_loss"] == pytest.approx(min(row["val_loss"] for row in rows), abs=1e-6)
    assert metrics["tasks"] == 6
    assert params_of(folder) == params()
    with safe_open(folder / "learned.safetensors", "pt") as file:
        assert "experts.model/layers/0/self_attn/q_proj.inner" in file.keys()  # noqa: SIM118  it is no dict
        assert "gate.weigh.weight" in file.keys()  # noqa: SIM118


def test_a_loaded_teacher_gives_the_same_bytes(trained, base, tmp_path):
    teacher, builder = loaded(trained, base)
    save_teacher(teacher, params_of(trained[0]), base, {}, tmp_path / "again")
    other = load_teacher(tmp_path / "again", load_base(base, params().base_weights), base, encoder())
    tasks = made_tasks(3)
    expected = score_candidates(teacher, tasks, builder, per_token=False)
    for a, b in zip(expected, score_candidates(other, tasks, builder, per_token=False), strict=True):
        assert a.tobytes() == b.tobytes()
    assert files.sha256(tmp_path / "again/learned.safetensors") == files.sha256(trained[0] / "learned.safetensors")


def test_an_interrupted_training_writes_the_same_file(trained, base, tmp_path):
    def stop(_):
        raise KeyboardInterrupt

    for on_epoch_end in (stop, lambda _: None):
        try:
            stored = made_stored_model(ENCODER_IDS)
            train_teacher(params(), base, stored, training_data(tmp_path / "work"), on_epoch_end, tmp_path / "to")
        except KeyboardInterrupt:
            continue
    assert files.sha256(tmp_path / "to") == files.sha256(trained[0])


def test_another_encoder_another_base_and_damaged_files_are_refused(trained, base, tmp_path):
    folder = trained[0]
    with pytest.raises(InputError, match="another encoder"):
        load_teacher(folder, load_base(base, params().base_weights), base, encoder(seed=1))
    elsewhere = PinnedBase(base.path, None, "sha256:0")
    with pytest.raises(InputError, match="another base"):
        load_teacher(folder, load_base(base, params().base_weights), elsewhere, encoder())
    (tmp_path / "t").mkdir()
    (tmp_path / "t/teacher.json").write_text((folder / "teacher.json").read_text())
    (tmp_path / "t/learned.safetensors").write_bytes((folder / "learned.safetensors").read_bytes()[:100])
    with pytest.raises(InputError, match="no whole teacher"):
        load_teacher(tmp_path / "t", load_base(base, params().base_weights), base, encoder())
    metadata = json.loads((folder / "teacher.json").read_text())
    metadata["params"]["mixture"]["experts"] = 3
    files.write_json(metadata, tmp_path / "t/teacher.json")
    with pytest.raises(InputError, match="other params"):
        params_of(tmp_path / "t")


def test_a_ranking_follows_the_likelihoods_and_its_distances_are_probabilities(trained, base, tmp_path):
    teacher, builder = loaded(trained, base)
    tasks = made_tasks(3)
    lists = rank_candidates(teacher, tasks, builder, 3, per_token=False)
    tables.write(lists, tmp_path / "t.parquet", TEACHER_LISTS)
    scores = score_candidates(teacher, tasks, builder, per_token=False)
    assert lists.select(*KEY, ground_truth="next_id").equals(tasks.select(*KEY, "ground_truth"))
    for row, values, shown in zip(lists.iter_rows(named=True), scores, tasks["candidates"].to_list(), strict=True):
        p = np.exp(values - values.max()) / np.exp(values - values.max()).sum()
        assert row["item_ids"] == [shown[k] for k in np.argsort(-values)[:3]]
        assert [math.exp(-c) for c in row["distances"]] == pytest.approx(sorted(p, reverse=True)[:3])
        assert row["distances"] == sorted(row["distances"])


def test_rankings_do_not_depend_on_shards_or_order_of_rows(trained, base, tmp_path):
    teacher, builder = loaded(trained, base)
    tasks = made_tasks(3)
    expected = rank_candidates(teacher, tasks, builder, 3, per_token=False)
    reverse = tasks.reverse()
    clocked = TimedShards(lambda part: rank_candidates(teacher, reverse[part], builder, 3, per_token=False))
    lists = compute_in_shards(tasks.height, 2, tmp_path, TEACHER_LISTS, clocked).reverse()
    assert clocked.rows == tasks.height
    assert lists["item_ids"].equals(expected["item_ids"])
    assert np.abs(lists["distances"].explode() - expected["distances"].explode()).max() < 1e-4


def test_more_items_than_candidates_are_refused(trained, base):
    teacher, builder = loaded(trained, base)
    with pytest.raises(InputError, match="only 5 candidates"):
        rank_candidates(teacher, made_tasks(3), builder, 6, per_token=False)
    assert rank_candidates(teacher, made_tasks(3).head(0), builder, 6, per_token=False).height == 0


@pytest.mark.parametrize("part", [2, export.PART])
def test_an_items_embedding_is_the_mean_of_its_states_in_any_batch(trained, base, part, monkeypatch):
    monkeypatch.setattr(export, "PART", part)
    teacher, builder = loaded(trained, base)
    histories = [items[:2] for items in SEQUENCES.values()]
    embeddings = item_embeddings(teacher, ["I29", "I00", "I07"], builder, histories)
    assert embeddings.item_ids == ["I29", "I00", "I07"]
    assert isinstance(embeddings.vectors, np.memmap)
    assert embeddings.vectors.shape == (3, 192) and embeddings.vectors.dtype == np.float32
    gate = teacher.gates(teacher.sequence_encoder.encode(histories)).mean(0, keepdim=True)
    for item, vector in zip(embeddings.item_ids, embeddings.vectors, strict=True):
        line = torch.tensor([Encoder(load_tokenizer(base)).plain(f"- Calm River {int(item[1:])} | Fjord\n")])
        with torch.no_grad(), teacher.use_gates(gate):
            states = teacher.base(input_ids=line, output_hidden_states=True).hidden_states[-1][0]
        assert np.abs(states.mean(0).numpy() - vector).max() < 1e-4


def test_the_encoder_embeds_known_items_only():
    stored = made_stored_model(ENCODER_IDS)
    sequence_encoder = SequenceEncoder(stored)
    embeddings = sequence_encoder.encode([["I00", "I05"], [], ["I29"], ["I29", "I00", "I05"]])
    assert embeddings.shape == (4, 16)
    assert not embeddings[1].any() and not embeddings[2].any()  # no known item
    assert torch.equal(embeddings[0], embeddings[3])  # unknown items are dropped
    expected = stored.candidate_scores(sequences_from_lists([[1, 6]]), np.array([[3, 9]]))
    scores = embeddings[0] @ sequence_encoder.item_vectors[[2, 8]].T
    torch.testing.assert_close(scores, torch.from_numpy(expected[0]))
    assert not any(parameter.requires_grad for parameter in stored.model.parameters())


def test_top_items_follow_the_models_own_scores():
    stored = made_stored_model(ENCODER_IDS)
    histories = [["I00", "I05"], ["I07"]]
    lists = SequenceEncoder(stored).top_items(histories, IDS[3:], 6)
    numbers = np.arange(4, 29)
    scores = stored.candidate_scores(sequences_from_lists([[1, 6], [8]]), np.stack([numbers, numbers]))
    for items, row, history in zip(lists, scores, histories, strict=True):
        order = [ENCODER_IDS[numbers[k] - 1] for k in np.argsort(-row)]
        assert items == [item for item in order if item not in history][:6]
    with pytest.raises(InputError, match="leave fewer than 27"):
        SequenceEncoder(stored).top_items(histories, IDS, 27)
    # a long history of other items takes nothing from the pool
    assert len(SequenceEncoder(stored).top_items([[f"B{k}" for k in range(99)]], IDS, 27)[0]) == 27


@pytest.mark.parametrize("gate", GATES)
def test_every_gate_can_be_stored(base, tmp_path, gate):
    p = params(mixture=made_mixture(gate=GATES[gate]))
    teacher = new_teacher(p, load_base(base, p.base_weights), encoder(), seed=1)
    save_teacher(teacher, p, base, {}, tmp_path / "t")
    assert params_of(tmp_path / "t") == p
    again = load_teacher(tmp_path / "t", load_base(base, p.base_weights), base, encoder())
    drawn = torch.randn(3, 16)
    teacher.train(False)
    assert torch.equal(again.gates(drawn), teacher.gates(drawn))


def test_a_text_only_teacher_has_no_item_tokens(trained, base):
    teacher, _ = loaded(trained, base)
    p = params(prompt=made_prompt_config(hybrid=False))
    builder = prompt_builder_for(teacher, Encoder(load_tokenizer(base)), ITEMS, p)
    assert max(builder.build(["I00"], ["I01", "I02"], "I01").tokens) < teacher.vocab_size


def test_a_teacher_on_nf4_is_trained_and_loaded(base, tmp_path):
    p = params(base_weights="nf4", training=made_training_config(epochs=1, validate_every=3, learning_rate=1e-2))
    with training_bar("teacher", 1, "val_loss", quiet=True, unit="update") as on_epoch_end:
        stored = made_stored_model(ENCODER_IDS)
        progress = train_teacher(p, base, stored, training_data(tmp_path / "work"), on_epoch_end, tmp_path / "to")
    assert all(math.isfinite(row["val_loss"]) for row in progress.rows)
    teacher = load_teacher(tmp_path / "to", load_base(base, p.base_weights), base, encoder())
    builder = prompt_builder_for(teacher, Encoder(load_tokenizer(base)), ITEMS, p)
    lists = rank_candidates(teacher, made_tasks(3), builder, 3, per_token=False)
    assert lists["distances"].explode().is_finite().all()
    assert lists.schema == pl.Schema(TEACHER_LISTS.columns)
