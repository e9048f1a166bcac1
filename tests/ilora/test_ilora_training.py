"""The loop on a small random model: what learns, at which rate, and that a break changes nothing."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from kitrec.core.errors import InputError
from kitrec.ilora.batch_schedule import Timetable, share_hybrid
from kitrec.ilora.dataset import Lessons
from kitrec.ilora.params import Curriculum
from kitrec.ilora.teacher import Teacher
from kitrec.ilora.training import answer_loss, fit_teacher, init_training, validate
from kitrec.llm.finetuning.dataset import Sample
from tests.ilora.made_teachers import GATES, WORDS, a_base, a_course, a_mixture, a_teacher, some_eyes

ITEMS = 20
HYBRID = Curriculum(text_until=0.0, hybrid_from=0.0)


def lessons(count: int, seed: int = 0) -> Lessons:
    """The answer is one of two words, by the reader; the prompt is noise with some items' words."""
    g = np.random.default_rng(seed)
    seen = torch.from_numpy(g.normal(size=(count, 16))).float()
    samples = []
    for k in range(count):
        text = [*g.integers(10, WORDS, g.integers(4, 9)), *g.integers(WORDS, WORDS + ITEMS, 3)]
        ids = np.array([*text, 3 if seen[k, 0] > 0 else 4, 1], dtype=np.int32)
        samples.append(Sample(f"u{k}/1", ids, len(text)))
    return Lessons(samples, seen)


def fresh(**changed) -> Teacher:
    base = a_base()
    with torch.no_grad():
        base.get_input_embeddings().weight.mul_(20)  # words far apart, or no answer can be likely
    torch.manual_seed(5)
    return Teacher(base, some_eyes(ITEMS), a_mixture(**({"dropout": 0.1} | changed)))


def run(work, course, *, gate: str = "dense", breaks_after: int | None = None):
    teacher = fresh(gate=GATES[gate])
    training = init_training(teacher, course)

    def told(progress):
        if progress.epoch == breaks_after:
            raise KeyboardInterrupt

    fitted = fit_teacher(training, teacher, lessons(30), lessons(8, 1), course, 7, work, told)
    return teacher, fitted


@pytest.mark.parametrize("gate", ["dense", "noisy"])
def test_a_training_that_broke_off_ends_with_the_same_bytes(tmp_path, gate):
    whole, wanted = run(tmp_path / "whole", a_course(), gate=gate)
    for stop in (1, 3):
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "broken", a_course(), gate=gate, breaks_after=stop)
    again, found = run(tmp_path / "broken", a_course(), gate=gate)
    assert found.progress.rows == wanted.progress.rows
    for name, own in whole.learned.state_dict().items():
        assert torch.equal(own, again.learned.state_dict()[name]), name


def test_experts_gate_and_projector_learn_and_nothing_else(tmp_path):
    before = {name: own.clone() for name, own in fresh().base.state_dict().items()}
    start = {name: own.clone() for name, own in fresh().learned.state_dict().items()}
    teacher, _ = run(tmp_path, a_course())
    learned = teacher.learned.state_dict()
    assert all(not torch.equal(own, learned[name]) for name, own in start.items())
    for name, own in teacher.base.state_dict().items():
        if ".experts." not in name and ".projector." not in name:
            assert torch.equal(own, before[name]), name
    trainable = {id(own) for own in teacher.base.parameters() if own.requires_grad}
    assert trainable <= {id(own) for own in teacher.learned.parameters()}


def test_gradients_reach_each_part():
    teacher = a_teacher(eyes=some_eyes(ITEMS))
    data = lessons(4)
    with teacher.speaking(teacher.gates(data.seen)):
        answer_loss(teacher, data.samples).backward()
    for name, own in teacher.learned.named_parameters():
        assert own.grad is not None and own.grad.abs().max() > 0, name


def test_the_loss_is_that_of_the_model_on_the_answers():
    teacher, data = a_teacher(eyes=some_eyes(ITEMS)), lessons(5)
    with torch.no_grad(), teacher.speaking(teacher.gates(data.seen)):
        found = answer_loss(teacher, data.samples).item()
    wanted = 0.0
    for k, own in enumerate(data.samples):
        with torch.no_grad(), teacher.speaking(teacher.gates(data.seen[k : k + 1])):
            logits = teacher.base(input_ids=torch.from_numpy(own.ids[None].astype(np.int64))).logits[0]
        targets = torch.from_numpy(own.ids[own.prompt :].astype(np.int64))
        wanted += F.cross_entropy(logits[own.prompt - 1 : -1], targets, reduction="sum").item()
    assert found == pytest.approx(wanted, rel=1e-5)


def test_the_gate_learns_at_its_share_of_the_rate():
    teacher = a_teacher(eyes=some_eyes(ITEMS))
    course = a_course(learning_rate=1e-2, warmup=0.0, epochs=50, judge_every=1, max_grad_norm=1e9, curriculum=HYBRID)
    before = {name: own.clone() for name, own in teacher.learned.named_parameters()}
    training = init_training(teacher, course)

    class OneUpdateError(Exception):
        pass

    def stop(_):
        raise OneUpdateError

    with pytest.raises(OneUpdateError):
        fit_teacher(training, teacher, lessons(8), lessons(4, 1), course, 7, None, stop)
    for name, own in teacher.learned.named_parameters():
        step = (own - before[name]).abs().max().item()  # the first step of AdamW is the rate itself
        assert step == pytest.approx(1e-2 * (0.3 if name.startswith("gate.") else 1.0), rel=0.02), name


def test_micro_batches_do_not_matter():
    found = []
    for batch, accumulation in ((8, 1), (2, 4)):
        teacher = fresh(dropout=0.0)
        course = a_course(batch=batch, accumulation=accumulation, epochs=1, judge_every=1, learning_rate=1e-2)
        training = init_training(teacher, course)
        fit_teacher(training, teacher, lessons(8), lessons(4, 1), course, 7, None, lambda _: None)
        found.append(torch.cat([own.flatten() for own in teacher.learned.state_dict().values()]))
    assert (found[0] - found[1]).abs().max() < 1e-4


def test_it_learns_what_the_reader_tells():
    """The answer depends on the reader's vector alone, which reaches the model through the gate alone."""
    teacher = fresh(dropout=0.0)
    course = a_course(learning_rate=3e-2, gate_rate=1.0, epochs=30, judge_every=20, batch=16, accumulation=1)
    training = init_training(teacher, course)
    data = lessons(64)
    fit_teacher(training, teacher, data, lessons(32, 1), course, 7, None, lambda _: None)
    chance = math.log(2) / 2  # of the two answer tokens one is a coin, the other certain
    assert training.progress.rows[0]["val_loss"] > 0.8 * chance
    assert -training.progress.best < 0.3 * chance
    found = validate(teacher, Lessons(data.samples, torch.zeros_like(data.seen)))
    assert found["val_loss"] > 0.9 * chance


def test_checkpointing_learns_the_same(tmp_path):
    one, _ = run(tmp_path / "one", a_course())
    other, _ = run(tmp_path / "other", a_course(gradient_checkpointing=True))
    for name, own in one.learned.state_dict().items():
        torch.testing.assert_close(own, other.learned.state_dict()[name], atol=1e-5, rtol=1e-4)


def test_patience_ends_it_and_the_best_comes_back(tmp_path):
    teacher, fitted = run(tmp_path, a_course(learning_rate=0.5, patience=2, epochs=20, judge_every=1))
    rows = fitted.progress.rows
    losses = [row["val_loss"] for row in rows]
    assert len(rows) == int(np.argmin(losses)) + 1 + 2
    assert validate(teacher, lessons(8, 1))["val_loss"] == pytest.approx(min(losses), rel=1e-6)


def test_a_loss_that_is_no_number_names_its_rows():
    teacher = a_teacher(eyes=some_eyes(ITEMS))
    with torch.no_grad():
        teacher.learned.gate.weigh.weight[0, 0] = torch.nan
    with pytest.raises(InputError, match=r"the loss is nan in .*u\d/1"):
        fit_teacher(
            init_training(teacher, a_course()), teacher, lessons(8), lessons(4, 1), a_course(), 7, None, lambda _: None
        )


def test_empty_tables_are_refused():
    teacher = a_teacher(eyes=some_eyes(ITEMS))
    with pytest.raises(InputError, match="both tables need rows"):
        fit_teacher(
            init_training(teacher, a_course()), teacher, lessons(8), lessons(0), a_course(), 7, None, lambda _: None
        )


def test_every_sample_once_an_epoch_and_more_words_as_time_goes_by():
    data = lessons(30)
    course = a_course(epochs=8, curriculum=Curriculum(text_until=0.25, hybrid_from=0.75))
    timetable = Timetable(data, course, WORDS, seed=1)
    assert timetable.updates == 8 * 4
    shares = []
    for epoch in range(8):
        learned = [own for n in range(4 * epoch, 4 * epoch + 4) for own, _ in timetable.micro_batches(n)]
        names = [own.record for part in learned for own in part]
        assert sorted(names) == sorted(own.record for own in data.samples)
        shares.append(np.mean([own.ids.max() >= WORDS for part in learned for own in part]))
    assert shares[:2] == [0, 0] and shares[6:] == [1, 1]
    assert 0 < shares[3] < shares[5] < 1


def test_the_readers_belong_to_their_samples():
    data = lessons(30)
    timetable = Timetable(data, a_course(), WORDS, seed=1)
    for samples, seen in timetable.micro_batches(1):
        for own, vector in zip(samples, seen, strict=True):
            assert torch.equal(vector, data.seen[int(own.record[1:-2])])


def test_the_curriculum_is_a_line():
    line = Curriculum(text_until=0.2, hybrid_from=0.6)
    assert [share_hybrid(done, line) for done in (0.0, 0.2, 0.4, 0.6, 1.0)] == pytest.approx([0, 0, 0.5, 1, 1])
    assert share_hybrid(0.0, Curriculum(text_until=0.0, hybrid_from=0.0)) == 1.0
    assert share_hybrid(0.89, Curriculum(text_until=0.9, hybrid_from=0.9)) == 0.0
    with pytest.raises(ValueError, match="no prompt would be hybrid"):
        Curriculum(text_until=1.0, hybrid_from=1.0)
    with pytest.raises(ValueError, match="lies behind"):
        Curriculum(text_until=0.6, hybrid_from=0.5)
