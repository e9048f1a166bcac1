"""A student whose item vectors learn from a teacher's, in one of two forms (DLLM2Rec, section 4.2).

    injection   e_i = E_i + weight (A t_i + b): the student's own E_i is the learned offset of the projected t_i
    distance    e_i = E_i, and the loss gains weight |A t_i + b - E_i|^2 of the batch's items
t_i is the teacher's vector of item i, of any width. Items without one (padding and mask always) keep e_i = E_i. While
the student learns, the injection is a parametrisation of its item table; `settled` writes the sums into the table, so
what is stored and served is a plain student that knows nothing of a teacher."""

import torch
from torch import nn
from torch.nn.utils import parametrize

from kitrec.core.randomness import derived_seed
from kitrec.distillation.item_embeddings import Table
from kitrec.recommenders.models.sequence_model import Recommender

PROJECTION = "teacher_projection"


class Projection(nn.Module):
    """A t_i + b for every item of a table; zeros for items without a teacher's vector."""

    teacher: torch.Tensor
    known: torch.Tensor

    def __init__(self, table: Table, hidden: int) -> None:
        super().__init__()
        self.project = nn.Linear(table.vectors.shape[1], hidden)
        self.register_buffer("teacher", torch.from_numpy(table.vectors), persistent=False)
        self.register_buffer("known", torch.from_numpy(table.known), persistent=False)

    def of(self, items: torch.Tensor) -> torch.Tensor:
        """[n, d] for item numbers, all of them known."""
        return self.project(self.teacher[items])

    def forward(self) -> torch.Tensor:
        """[rows, d]"""
        return self.project(self.teacher) * self.known[:, None]


class Injection(Projection):
    """The same as a parametrisation of the student's item table."""

    def __init__(self, table: Table, hidden: int, weight: float) -> None:
        super().__init__(table, hidden)
        self.weight = weight

    def forward(self, own: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return own + self.weight * super().forward()


def item_table(student: Recommender) -> nn.Embedding:
    """The vectors a student reads its items by."""
    table = student.get_submodule("items")
    assert isinstance(table, nn.Embedding)
    return table


def inject(student: Recommender, table: Table, weight: float, seed: int) -> None:
    """Add the projected teacher to the student's items."""
    own = item_table(student)
    with torch.random.fork_rng():
        torch.manual_seed(derived_seed(seed, "distill projection"))
        injection = Injection(table, own.embedding_dim, weight)
    parametrize.register_parametrization(own, "weight", injection)


def project_beside(student: Recommender, table: Table, seed: int) -> Projection:
    """Give the student a projection that learns with it, for the distance."""
    with torch.random.fork_rng():
        torch.manual_seed(derived_seed(seed, "distill projection"))
        projection = Projection(table, item_table(student).embedding_dim)
    student.add_module(PROJECTION, projection)
    return projection


def settled(student: Recommender) -> Recommender:
    """The student without its teacher: the same vectors, a plain table."""
    own = item_table(student)
    if parametrize.is_parametrized(own):
        parametrize.remove_parametrizations(own, "weight", leave_parametrized=True)
    if hasattr(student, PROJECTION):
        delattr(student, PROJECTION)
    return student
