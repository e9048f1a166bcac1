"""A method of `infer.methods` with the budgets of its base."""

from kitrec.core import params
from kitrec.llm.generation.params import Budgets, Method, MethodParams, budgeted


def load_method(method: str) -> Method:
    """Return a method of params.yaml."""
    return budgeted(params.load(MethodParams, f"infer.methods.{method}"), params.load(Budgets, "infer.budgets"))
