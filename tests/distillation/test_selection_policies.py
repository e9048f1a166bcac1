"""Each policy on a case where it is known which rows it has to choose."""

import numpy as np
import pytest
import torch

from kitrec.core.errors import InputError
from kitrec.distillation.alignment import Lists
from kitrec.distillation.params import Selection
from kitrec.distillation.selection_policies import SelectionPolicy, Student, policy

# five lists, the surest item of each at 3, 1, 4, 0 and 2
DISTANCES = np.array([[3, 5], [6, 1], [4, 9], [0, np.inf], [2, 2]], dtype=np.float32)
LISTS = Lists(np.arange(5), np.ones((5, 2), dtype=np.int64), DISTANCES, {})
# one state a row: how sharply it tells the three items apart. Row 1 is undecided, row 4 nearly
STATES = torch.tensor([[3.0], [0.0], [-2.0], [8.0], [0.1]])
OUTPUT = (torch.tensor([[1.0], [0.0], [-1.0]]), None)
STUDENT = Student(STATES, OUTPUT)
LINES = np.arange(5)


def chosen(name: str, fraction: float, lines=LINES, seed: int = 0) -> list[int]:
    own = policy(Selection(policy=name, fraction=fraction), LISTS, seed)
    return np.flatnonzero(own.choose(lines, STUDENT)).tolist()


def test_all_takes_all():
    assert chosen("all", 1.0) == [0, 1, 2, 3, 4]


def test_the_teacher_is_confident_where_its_surest_item_is_near():
    assert chosen("teacher_confident", 0.4) == [1, 3]
    assert chosen("teacher_confident", 0.6) == [1, 3, 4]
    assert chosen("teacher_confident", 0.4, lines=np.array([3, 3, 0])) == [0, 1]  # by list, wherever it stands


def test_the_student_is_uncertain_where_its_scores_are_level():
    assert chosen("student_uncertain", 0.2) == [1]
    assert chosen("student_uncertain", 0.4) == [1, 4]
    assert chosen("student_uncertain", 0.6) == [1, 2, 4]


def test_entropy_is_that_of_the_softmax():
    found = STUDENT.entropy()
    assert np.isclose(found[1], np.log(3))
    shares = np.exp([3.0, 0.0, -3.0]) / np.exp([3.0, 0.0, -3.0]).sum()
    assert np.isclose(found[0], -(shares * np.log(shares)).sum(), atol=1e-6)


def test_a_random_fraction_is_the_same_rows_for_a_seed():
    some = chosen("random_fraction", 0.4)
    assert len(some) == 2
    assert some == chosen("random_fraction", 0.4)
    assert any(chosen("random_fraction", 0.4, seed=seed) != some for seed in range(1, 6))


@pytest.mark.parametrize("name", ["teacher_confident", "random_fraction"])
def test_rows_are_chosen_whatever_the_order_of_the_teachers_lines_and_whoever_else_is_in_it(name):
    """Lines 0 to 4 backwards, behind three surer ones of strangers: the same places."""
    order = np.array([4, 3, 2, 1, 0])
    strangers = np.full((3, 2), -1.0, dtype=np.float32)
    mixed = Lists(order + 3, np.ones((8, 2), np.int64), np.concatenate([strangers, DISTANCES[order]]), {})
    own = policy(Selection(policy=name, fraction=0.4), mixed, 0)
    assert np.flatnonzero(own.choose(mixed.of_place, STUDENT)).tolist() == chosen(name, 0.4)


def test_the_students_own_list_is_by_its_scores():
    # scores by row: item 0 first where the state is positive, item 2 first where it is negative
    items = torch.tensor([[0, 2], [0, 2], [0, 2], [1, 2], [1, 0]])
    student = Student(STATES[[0, 2, 3]], OUTPUT)
    assert student.lists(items[[0, 2, 3]]).tolist() == [[True, False], [False, True], [True, False]]


def test_one_class_is_enough_for_a_new_policy():
    class EvenLines(SelectionPolicy):
        name = "even_lines"

        def choose(self, lines, student):  # noqa: ARG002
            return lines % 2 == 0

    assert chosen("even_lines", 1.0) == [0, 2, 4]


def test_an_unknown_policy_is_refused():
    with pytest.raises(InputError, match="there is no 'best'; there are all, teacher_confident"):
        policy(Selection(policy="best", fraction=1.0), LISTS, 0)
