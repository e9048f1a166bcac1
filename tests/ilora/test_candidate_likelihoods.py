"""Log-likelihoods of candidates, greedy generation and the hit ratios computed from both."""

import numpy as np
import pytest
import torch

from kitrec.ilora.dataset import CandidateScoringDataset, scoring_dataset
from kitrec.ilora.hit_ratio import generated_hit_ratio, named_candidates, scored_hit_ratio
from kitrec.ilora.prompts import PromptBuilder
from kitrec.ilora.scoring import generate, log_likelihoods, without_item_tokens
from kitrec.ilora.tasks import build_tasks
from kitrec.llm.likelihood.shared_prefix import batches
from kitrec.prompts.tokens import Encoder
from tests.ilora.made_teachers import made_encoder, made_prompt_config, made_teacher, shipped_base

TITLES = ["Calm River", "Old Lamp", "Quiet Harbour", "Sleepy Doctor", "Lazy Promise"]
FEATURES = {"categories": [], "average_rating": None, "description": None}
ITEMS = {f"I{k:02}": {"title": f"{TITLES[k % 5]} {k // 5}", **FEATURES} for k in range(20)}


@pytest.fixture(scope="module")
def teacher(tiny_base):
    return made_teacher(shipped_base(tiny_base), made_encoder())


def made_dataset(teacher, tokenizer, answer="title", candidates=6):
    sequences = {f"u{k}": [f"I{(3 * k + j) % 20:02}" for j in range(2 + 2 * k)] for k in range(4)}
    prefix_lengths = {user: [len(items) - 1] for user, items in sequences.items()}
    tasks = build_tasks(sequences, prefix_lengths, "", sorted(ITEMS), candidates, seed=1)
    item_numbers, config = teacher.sequence_encoder.item_numbers, made_prompt_config(answer=answer)
    builder = PromptBuilder(Encoder(tokenizer), ITEMS, item_numbers, teacher.vocab_size, config)
    return scoring_dataset(tasks, builder, teacher.sequence_encoder)


def by_separate_forwards(teacher, dataset: CandidateScoringDataset) -> list[np.ndarray]:
    scores = []
    for k, prompt in enumerate(dataset.prompts):
        values = []
        for name in prompt.candidates:
            ids = torch.tensor([prompt.tokens + name])
            with torch.no_grad(), teacher.use_gates(teacher.gates(dataset.user_embeddings[k : k + 1])):
                logits = teacher.base(input_ids=ids).logits[0, len(prompt.tokens) - 1 : -1].log_softmax(-1)
            values.append(logits.gather(1, torch.tensor(name)[:, None]).sum().item())
        scores.append(np.array(values))
    return scores


@pytest.mark.parametrize("answer", ["title", "id"])
def test_likelihoods_equal_separate_forwards_of_one_sample_and_one_name(teacher, tokenizer, answer):
    dataset = made_dataset(teacher, tokenizer, answer)
    expected = by_separate_forwards(teacher, dataset)
    for values, reference in zip(log_likelihoods(teacher, dataset, per_token=False), expected, strict=True):
        assert np.abs(values - reference).max() < 2e-4
    means = log_likelihoods(teacher, dataset, per_token=True)
    for values, reference, prompt in zip(means, expected, dataset.prompts, strict=True):
        assert np.abs(values - reference / np.array([len(name) for name in prompt.candidates])).max() < 1e-4


def test_small_batches_change_nothing(teacher, tokenizer, monkeypatch):
    dataset = made_dataset(teacher, tokenizer)
    expected = log_likelihoods(teacher, dataset, per_token=False)
    monkeypatch.setattr("kitrec.llm.likelihood.shared_prefix.BATCH_TOKENS", 10)
    for reference, values in zip(expected, log_likelihoods(teacher, dataset, per_token=False), strict=True):
        assert np.abs(reference - values).max() < 2e-4


def test_gates_and_item_tokens_matter(teacher, tokenizer):
    dataset = made_dataset(teacher, tokenizer)
    scores = log_likelihoods(teacher, dataset, per_token=False)
    other_users = CandidateScoringDataset(dataset.prompts, dataset.user_embeddings.roll(1, 0))
    assert np.abs(log_likelihoods(teacher, other_users, per_token=False)[0] - scores[0]).max() > 1e-3
    text = without_item_tokens(dataset, teacher.vocab_size)
    assert max(max(prompt.tokens) for prompt in text.prompts) < teacher.vocab_size
    assert np.abs(log_likelihoods(teacher, text, per_token=False)[0] - scores[0]).max() > 1e-3


def test_generation_in_a_batch_equals_generation_of_single_prompts(teacher, tokenizer):
    dataset = made_dataset(teacher, tokenizer)
    together = generate(teacher, dataset, tokenizer)
    for k, prompt in enumerate(dataset.prompts):
        single = CandidateScoringDataset([prompt], dataset.user_embeddings[k : k + 1])
        assert generate(teacher, single, tokenizer) == [together[k]]


def test_generation_is_greedy(teacher, tokenizer):
    dataset = made_dataset(teacher, tokenizer)
    prompt, user_embedding = dataset.prompts[0], dataset.user_embeddings[:1]
    longest = max(map(len, prompt.candidates)) + 4
    ids = list(prompt.tokens)
    with torch.no_grad(), teacher.use_gates(teacher.gates(user_embedding)):
        for _ in range(longest):
            ids.append(int(teacher.base(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
            if ids[-1] == teacher.base.config.eos_token_id:
                break
    expected = tokenizer.decode(ids[len(prompt.tokens) :], skip_special_tokens=True)
    assert generate(teacher, CandidateScoringDataset([prompt], user_embedding), tokenizer) == [expected]


def test_no_gates_stay_active_after_scoring_and_generation(teacher, tokenizer):
    dataset = made_dataset(teacher, tokenizer)
    log_likelihoods(teacher, dataset, per_token=False)
    generate(teacher, dataset, tokenizer)
    with pytest.raises(RuntimeError, match="no gates are active"):
        teacher.base(input_ids=torch.tensor([[3, 4]]))


def test_batches_hold_every_row_once_longest_first():
    lengths = np.random.default_rng(0).integers(1, 40, 100).tolist()
    groups = batches(lengths, 100)
    assert sorted(k for batch in groups for k in batch) == list(range(100))
    flat = [lengths[k] for batch in groups for k in batch]
    assert flat == sorted(flat, reverse=True)
    assert all(len(batch) * lengths[batch[0]] <= 100 for batch in groups)


@pytest.mark.parametrize(
    ("answer", "indices"),
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
        ("Twins", [4, 5]),  # two candidates with the same title
    ],
)
def test_an_answer_names_whole_titles_in_any_case(answer, indices):
    assert named_candidates(answer, ["Queen", "Queens of the Stone Age", "Muse", "C++", "Twins", "twins"]) == indices


def test_overlapping_names_are_both_named():
    assert named_candidates("A B C", ["A B", "B C"]) == [0, 1]
    assert named_candidates("A B C", ["A B C", "B C"]) == [0]


def test_ratios_divide_by_all_samples():
    names = [["a", "b"]] * 5
    metrics = generated_hit_ratio(["a", "b", "a b", "", "a"], names, [0, 0, 0, 0, 0])
    assert metrics == {"hit_ratio@1": pytest.approx(2 / 5), "valid_ratio": pytest.approx(3 / 5)}


def test_equal_scores_share_the_hit():
    scores = [np.array([1.0, 0.0]), np.array([0.0, 0.0]), np.array([0.0, 1.0]), np.array([2.0, 2.0, 2.0, 0.0])]
    assert scored_hit_ratio(scores, [0, 0, 0, 1]) == pytest.approx((1 + 0.5 + 0 + 1 / 3) / 4)
