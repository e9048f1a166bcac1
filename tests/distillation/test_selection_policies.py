"""Each policy on a case whose selected rows are known."""

import numpy as np
import pytest
import torch

from kitrec.core.errors import InputError
from kitrec.distillation.alignment import AlignedLists
from kitrec.distillation.params import Selection
from kitrec.distillation.selection_policies import SelectionPolicy, StudentScores, build_policy

# five lists, whose most confident items are at 3, 1, 4, 0 and 2
DISTANCES = np.array([[3, 5], [6, 1], [4, 9], [0, np.inf], [2, 2]], dtype=np.float32)
LISTS = AlignedLists(np.arange(5), np.ones((5, 2), dtype=np.int64), DISTANCES, {})
# one state per row: how sharply it separates the three items. Row 1 is undecided, row 4 nearly
STATES = torch.tensor([[3.0], [0.0], [-2.0], [8.0], [0.1]])
OUTPUT = (torch.tensor([[1.0], [0.0], [-1.0]]), None)
STUDENT = StudentScores(STATES, OUTPUT)
INDICES = np.arange(5)


def chosen(name: str, fraction: float, indices=INDICES, seed: int = 0) -> list[int]:
    policy = build_policy(Selection(policy=name, fraction=fraction), LISTS, seed)
    return np.flatnonzero(policy.choose(indices, STUDENT)).tolist()


def test_all_selects_every_row():
    assert chosen("all", 1.0) == [0, 1, 2, 3, 4]


def test_teacher_confident_selects_the_smallest_distances():
    assert chosen("teacher_confident", 0.4) == [1, 3]
    assert chosen("teacher_confident", 0.6) == [1, 3, 4]
    assert chosen("teacher_confident", 0.4, indices=np.array([3, 3, 0])) == [0, 1]  # by list, in any row


def test_student_uncertain_selects_the_highest_entropy():
    assert chosen("student_uncertain", 0.2) == [1]
    assert chosen("student_uncertain", 0.4) == [1, 4]
    assert chosen("student_uncertain", 0.6) == [1, 2, 4]


def test_entropy_is_that_of_the_softmax():
    entropy = STUDENT.entropy()
    assert np.isclose(entropy[1], np.log(3))
    probabilities = np.exp([3.0, 0.0, -3.0]) / np.exp([3.0, 0.0, -3.0]).sum()
    assert np.isclose(entropy[0], -(probabilities * np.log(probabilities)).sum(), atol=1e-6)


def test_a_random_fraction_is_the_same_rows_for_a_seed():
    rows = chosen("random_fraction", 0.4)
    assert len(rows) == 2
    assert rows == chosen("random_fraction", 0.4)
    assert any(chosen("random_fraction", 0.4, seed=seed) != rows for seed in range(1, 6))


@pytest.mark.parametrize("name", ["teacher_confident", "random_fraction"])
def test_rows_do_not_depend_on_the_order_of_the_lists_or_on_lists_of_other_users(name):
    """Lists 0 to 4 in reverse, after three more confident ones of unknown rows: the same rows are selected."""
    order = np.array([4, 3, 2, 1, 0])
    strangers = np.full((3, 2), -1.0, dtype=np.float32)
    mixed = AlignedLists(order + 3, np.ones((8, 2), np.int64), np.concatenate([strangers, DISTANCES[order]]), {})
    policy = build_policy(Selection(policy=name, fraction=0.4), mixed, 0)
    assert np.flatnonzero(policy.choose(mixed.list_of_position, STUDENT)).tolist() == chosen(name, 0.4)


def test_the_students_own_top_k_is_by_its_scores():
    # scores by row: item 0 is first for a positive state, item 2 for a negative one
    items = torch.tensor([[0, 2], [0, 2], [0, 2], [1, 2], [1, 0]])
    student = StudentScores(STATES[[0, 2, 3]], OUTPUT)
    assert student.in_topk(items[[0, 2, 3]]).tolist() == [[True, False], [False, True], [True, False]]


def test_a_new_policy_is_a_single_subclass():
    class EvenLists(SelectionPolicy):
        name = "even_lists"

        def choose(self, lists, student):  # noqa: ARG002
            return lists % 2 == 0

    assert chosen("even_lists", 1.0) == [0, 2, 4]


def test_an_unknown_policy_is_refused():
    with pytest.raises(InputError, match="there is no 'best'; there are all, teacher_confident"):
        build_policy(Selection(policy="best", fraction=1.0), LISTS, 0)
