import numpy as np
import pytest
import torch

from kitrec.ilora.dataset import Questions, questions_of
from kitrec.ilora.hit_ratio import named, scored_ratio, written_ratios
from kitrec.ilora.prompts import Writer
from kitrec.ilora.scoring import batches, likelihoods, without_words, written
from kitrec.ilora.tasks import tasks_of
from kitrec.prompts.tokens import Encoder
from tests.ilora.made_teachers import a_choice, a_teacher, shipped_base, some_eyes

TITLES = ["Calm River", "Old Lamp", "Quiet Harbour", "Sleepy Doctor", "Lazy Promise"]
FACTS = {"categories": [], "average_rating": None, "description": None}
ITEMS = {f"I{k:02}": {"title": f"{TITLES[k % 5]} {k // 5}", **FACTS} for k in range(20)}


@pytest.fixture(scope="module")
def teacher(tiny_base):
    return a_teacher(shipped_base(tiny_base), some_eyes())


def asked(teacher, tokenizer, answer="title", candidates=6):
    sequences = {f"u{k}": [f"I{(3 * k + j) % 20:02}" for j in range(2 + 2 * k)] for k in range(4)}
    places = {u: [len(own) - 1] for u, own in sequences.items()}
    tasks = tasks_of(sequences, places, "", sorted(ITEMS), candidates, seed=1)
    writer = Writer(Encoder(tokenizer), ITEMS, teacher.eyes.numbers, teacher.words, a_choice(answer=answer))
    return questions_of(tasks, writer, teacher.eyes)


def by_separate_forwards(teacher, questions: Questions) -> list[np.ndarray]:
    found = []
    for k, own in enumerate(questions.asked):
        values = []
        for name in own.names:
            ids = torch.tensor([own.text + name])
            with torch.no_grad(), teacher.speaking(teacher.gates(questions.seen[k : k + 1])):
                logits = teacher.base(input_ids=ids).logits[0, len(own.text) - 1 : -1].log_softmax(-1)
            values.append(logits.gather(1, torch.tensor(name)[:, None]).sum().item())
        found.append(np.array(values))
    return found


@pytest.mark.parametrize("answer", ["title", "id"])
def test_likelihoods_are_those_of_separate_forwards_one_sample_and_one_name_at_a_time(teacher, tokenizer, answer):
    questions = asked(teacher, tokenizer, answer)
    wanted = by_separate_forwards(teacher, questions)
    for own, other in zip(likelihoods(teacher, questions, per_token=False), wanted, strict=True):
        assert np.abs(own - other).max() < 2e-4
    for own, other, q in zip(likelihoods(teacher, questions, per_token=True), wanted, questions.asked, strict=True):
        assert np.abs(own - other / np.array([len(name) for name in q.names])).max() < 1e-4


def test_small_batches_change_nothing(teacher, tokenizer, monkeypatch):
    questions = asked(teacher, tokenizer)
    whole = likelihoods(teacher, questions, per_token=False)
    monkeypatch.setattr("kitrec.llm.likelihood.shared_prefix.BATCH_TOKENS", 10)
    for one, other in zip(whole, likelihoods(teacher, questions, per_token=False), strict=True):
        assert np.abs(one - other).max() < 2e-4


def test_gates_and_words_matter(teacher, tokenizer):
    questions = asked(teacher, tokenizer)
    own = likelihoods(teacher, questions, per_token=False)
    other_readers = Questions(questions.asked, questions.seen.roll(1, 0))
    assert np.abs(likelihoods(teacher, other_readers, per_token=False)[0] - own[0]).max() > 1e-3
    text = without_words(questions, teacher.words)
    assert max(max(q.text) for q in text.asked) < teacher.words
    assert np.abs(likelihoods(teacher, text, per_token=False)[0] - own[0]).max() > 1e-3


def test_writing_in_a_batch_is_writing_alone(teacher, tokenizer):
    questions = asked(teacher, tokenizer)
    together = written(teacher, questions, tokenizer)
    for k, own in enumerate(questions.asked):
        assert written(teacher, Questions([own], questions.seen[k : k + 1]), tokenizer) == [together[k]]


def test_writing_is_the_likeliest_token_each_time(teacher, tokenizer):
    questions = asked(teacher, tokenizer)
    own, seen = questions.asked[0], questions.seen[:1]
    longest = max(map(len, own.names)) + 4
    ids = list(own.text)
    with torch.no_grad(), teacher.speaking(teacher.gates(seen)):
        for _ in range(longest):
            ids.append(int(teacher.base(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
            if ids[-1] == teacher.base.config.eos_token_id:
                break
    wanted = tokenizer.decode(ids[len(own.text) :], skip_special_tokens=True)
    assert written(teacher, Questions([own], seen), tokenizer) == [wanted]


def test_no_gates_are_left_after_scoring_and_writing(teacher, tokenizer):
    questions = asked(teacher, tokenizer)
    likelihoods(teacher, questions, per_token=False)
    written(teacher, questions, tokenizer)
    with pytest.raises(RuntimeError, match="no gates are set"):
        teacher.base(input_ids=torch.tensor([[3, 4]]))


def test_batches_hold_every_row_once_longest_first():
    lengths = np.random.default_rng(0).integers(1, 40, 100).tolist()
    found = batches(lengths, 100)
    assert sorted(k for batch in found for k in batch) == list(range(100))
    flat = [lengths[k] for batch in found for k in batch]
    assert flat == sorted(flat, reverse=True)
    assert all(len(batch) * lengths[batch[0]] <= 100 for batch in found)


@pytest.mark.parametrize(
    ("answer", "which"),
    [
        ("Queen", [0]),
        (' "queen". ', [0]),
        ("Queensryche", []),
        ("Queens of the Stone Age", [1]),  # the longer name alone
        ("Queen or Muse", [0, 2]),
        ("Muse, Muse", [2]),
        ("nothing", []),
        ("", []),
        ("C++", [3]),
        ("Twins", [4, 5]),  # two candidates of one title
    ],
)
def test_what_an_answer_names(answer, which):
    assert named(answer, ["Queen", "Queens of the Stone Age", "Muse", "C++", "Twins", "twins"]) == which


def test_names_that_overlap_are_both_there():
    assert named("A B C", ["A B", "B C"]) == [0, 1]
    assert named("A B C", ["A B C", "B C"]) == [0]


def test_ratios_divide_by_all_samples():
    names = [["a", "b"]] * 5
    found = written_ratios(["a", "b", "a b", "", "a"], names, [0, 0, 0, 0, 0])
    assert found == {"hit_ratio@1": pytest.approx(2 / 5), "valid_ratio": pytest.approx(3 / 5)}


def test_equal_scores_share_the_hit():
    scores = [np.array([1.0, 0.0]), np.array([0.0, 0.0]), np.array([0.0, 1.0]), np.array([2.0, 2.0, 2.0, 0.0])]
    assert scored_ratio(scores, [0, 0, 0, 1]) == pytest.approx((1 + 0.5 + 0 + 1 / 3) / 4)
