"""The catalogue of params.yaml: the dataclass of every section, renamed keys, and validation of the whole file."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kitrec.config.renamed_keys import new_name, new_place
from kitrec.config.rules import violations
from kitrec.core import params
from kitrec.core.domains import Domains
from kitrec.core.errors import InputError
from kitrec.distillation.params import Distillation
from kitrec.evaluation.params import Evaluation
from kitrec.ilora.params import IloraTeacher
from kitrec.llm.base.params import BaseWithServed
from kitrec.llm.finetuning.params import FineTune, Launch, Train
from kitrec.llm.generation.params import Engine, Infer
from kitrec.llm.likelihood.params import Probes, Rationales
from kitrec.llm.preference.params import Preference
from kitrec.llm_judge.params import Judge
from kitrec.preprocessing.params import Candidates, Data, Source, Users
from kitrec.prompts.params import Prompt
from kitrec.recommenders.params import IdRec
from kitrec.synthetic.params import World
from kitrec.thinkrec.params import ThinkRec
from kitrec.tinybase.params import TinyBase
from kitrec.titles.params import Titles
from kitrec.training.params import Trainer

SECTIONS: dict[str, Any] = {  # a class, or a class or None
    "seed": int,
    "training_seed": int | None,
    "domains": Domains,
    "source": Source,
    "data": Data,
    "world": World,
    "users": Users,
    "candidates": Candidates,
    "base": BaseWithServed,
    "prompt": Prompt,
    "train": Train,
    "launch": Launch,
    "trainer": Trainer,
    "dualft": FineTune,
    "singleft": FineTune,
    "preference": Preference,
    "engine": Engine,
    "infer": Infer,
    "rationales": Rationales,
    "probes": Probes,
    "idrec": IdRec,
    "titles": Titles,
    "ilora": IloraTeacher,
    "distillation": Distillation,
    "thinkrec": ThinkRec,
    "evaluation": Evaluation,
    "judge": Judge,
    "tiny_base": TinyBase,
}


def validate_params(path: Path = params.FILE) -> dict[str, Any]:
    """Return every section of the file as its dataclass; raise one error with all problems of all sections."""
    return validate_tree(params.read(path), path)


def validate_tree(tree: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Validate a tree that was read from `path`."""
    problems: list[str] = []
    tree = _with_new_names(tree, problems)
    problems += [f"{name}: unknown section; known: {', '.join(SECTIONS)}" for name in tree if name not in SECTIONS]
    sections = {name: params.parse(cls, name, tree, problems) for name, cls in SECTIONS.items()}
    if not problems:
        problems += violations(sections)
    if problems:
        raise InputError(params.problem_report(path, problems))
    return sections


def renamed_parts(key: str) -> Iterator[tuple[str, str]]:
    """Yield (dotted key, new name of its last part) for every renamed part of a dotted key."""
    old, new = "", ""
    for part in key.split("."):
        old = f"{old}.{part}" if old else part
        name = new_name(f"{new}.{part}" if new else part)
        if name != part:
            yield old, name
        new = f"{new}.{name}" if new else name


def moving_problem(key: str) -> str | None:
    """Return the error message of a key that was moved, None of any other."""
    place = new_place(key)
    return f"{key}: moved to `{place}`, of the base and all its methods; remove it here" if place else None


def renaming_problem(key: str, name: str) -> str:
    """Return the error message of a renamed key."""
    return f"{key}: renamed to `{name}`"


def _with_new_names(node: Any, problems: list[str], old: str = "", new: str = "") -> Any:
    """Return a tree with renamed keys replaced, and report each, so that it causes no further problems."""
    if isinstance(node, list):
        return [_with_new_names(each, problems, old, new) for each in node]
    if not isinstance(node, Mapping):
        return node
    tree = {}
    for part, value in node.items():
        moved = moving_problem(f"{new}.{part}" if new else str(part))
        if moved:
            problems += [moved] if moved not in problems else []
            continue
        name = new_name(f"{new}.{part}" if new else str(part))
        if name != str(part):
            problem = renaming_problem(f"{old}{part}", name)
            problems += [problem] if problem not in problems else []
        key = part if name == str(part) else name
        tree[key] = _with_new_names(value, problems, f"{old}{part}.", f"{new}.{name}" if new else name)
    return tree
