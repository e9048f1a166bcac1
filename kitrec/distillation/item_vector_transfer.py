"""Collaborative embedding distillation: a student's item vectors and a teacher's (DLLM2Rec, section 4.2).

    injection   e_i = E_i + weight (A t_i + b): the student's own E_i is the learned offset of the projected t_i
    distance    e_i = E_i, and the loss gains weight |A t_i + b - E_i|^2 of the batch's items
t_i is the teacher's vector of item i, of any width. Items without one (padding and mask always) keep e_i = E_i. During
training the injection is a parametrisation of the student's item table; `merge_projection` writes the sums into the
table, so that the stored and served model is a plain student without a teacher."""

import torch
from torch import nn
from torch.nn.utils import parametrize

from kitrec.core.randomness import derived_seed
from kitrec.distillation.item_embeddings import EmbeddingTable
from kitrec.recommenders.models.interface import Recommender

PROJECTION = "teacher_projection"


class Projection(nn.Module):
    """A t_i + b for every item of a table; zeros for items without a teacher's vector."""

    teacher: torch.Tensor
    has_vector: torch.Tensor

    def __init__(self, table: EmbeddingTable, hidden: int) -> None:
        super().__init__()
        self.project = nn.Linear(table.vectors.shape[1], hidden)
        self.register_buffer("teacher", torch.from_numpy(table.vectors), persistent=False)
        self.register_buffer("has_vector", torch.from_numpy(table.has_vector), persistent=False)

    def project_items(self, items: torch.Tensor) -> torch.Tensor:
        """Return [n, d] for item numbers that all have a teacher's vector."""
        return self.project(self.teacher[items])

    def forward(self) -> torch.Tensor:
        """Return the projected table, [rows, d]."""
        return self.project(self.teacher) * self.has_vector[:, None]


class Injection(Projection):
    """The projection as a parametrisation of the student's item table."""

    def __init__(self, table: EmbeddingTable, hidden: int, weight: float) -> None:
        super().__init__(table, hidden)
        self.weight = weight

    def forward(self, student: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return student + self.weight * super().forward()


def item_table(student: Recommender) -> nn.Embedding:
    """Return the student's input embedding of items."""
    table = student.get_submodule("items")
    assert isinstance(table, nn.Embedding)
    return table


def inject(student: Recommender, table: EmbeddingTable, weight: float, seed: int) -> None:
    """Add the projected teacher to the student's item vectors."""
    items = item_table(student)
    with torch.random.fork_rng():
        torch.manual_seed(derived_seed(seed, "distill projection"))
        injection = Injection(table, items.embedding_dim, weight)
    parametrize.register_parametrization(items, "weight", injection)


def add_projection(student: Recommender, table: EmbeddingTable, seed: int) -> Projection:
    """Add a projection that is trained with the student, for the distance."""
    with torch.random.fork_rng():
        torch.manual_seed(derived_seed(seed, "distill projection"))
        projection = Projection(table, item_table(student).embedding_dim)
    student.add_module(PROJECTION, projection)
    return projection


def merge_projection(student: Recommender) -> Recommender:
    """Return the student as a plain model: the same vectors, no parametrisation, no projection."""
    items = item_table(student)
    if parametrize.is_parametrized(items):
        parametrize.remove_parametrizations(items, "weight", leave_parametrized=True)
    if hasattr(student, PROJECTION):
        delattr(student, PROJECTION)
    return student
