"""Methods of `kitrec fit`: from params.yaml, or outside the repository from the defaults of the package, changed by -S.

kitrec/config/default_params.yaml is the params.yaml that the project ships; an installed package holds it too."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from kitrec.config import profiles
from kitrec.core import params
from kitrec.core.errors import InputError
from kitrec.recommenders.models.params import CROSS_DOMAIN_KINDS, NON_PARAMETRIC_KINDS, BERT4Rec, ItemKNN, SequenceModel
from kitrec.recommenders.params import AnyMethod, NonParametricMethod, SequenceMethod
from kitrec.training.params import Most, Trainer

DEFAULTS = Path(profiles.__file__).with_name("default_params.yaml")
PREFIX = "idrec.methods."
# Sizes of BERT4Rec by the number of users: the profiles conf/idrec/{small,medium,large}.yaml
SIZES = {
    "small": ("fewer than 10,000 users", {"hidden_size": 32, "heads": 2, "layers": 2, "max_length": 30}),
    "medium": ("10,000 to 100,000 users", {"hidden_size": 64, "heads": 4, "layers": 3, "max_length": 50}),
    "large": ("more than 100,000 users", {"hidden_size": 128, "heads": 8, "layers": 4, "max_length": 200}),
}


@dataclass(frozen=True)
class FitParams:
    methods: dict[str, SequenceMethod]
    item_knn: ItemKNN  # the baseline
    pin_memory: bool
    validation_users: Most
    notice: str


def load_fit_params(names: Sequence[str], overrides: Sequence[str], path: Path = params.FILE) -> FitParams:
    """Return the named methods with the overrides; all problems are reported at once."""
    tree, defaults = _tree(path), params.read(DEFAULTS)
    notice = "" if tree else f"no {path} with methods here: their settings are the defaults of the package"
    tree = tree or defaults
    methods = tree["idrec"]["methods"]
    _check_names(names, methods)
    chosen = {name: json.loads(json.dumps(methods[name])) for name in names}
    problems = [problem for override in overrides for problem in _set(chosen, override)]
    parsed = {name: _parse(f"{PREFIX}{name}", name, chosen, problems) for name in names}
    if problems:
        raise InputError(params.problem_report(Path(f"{path} with -S" if overrides else path), problems))
    knn = _parse("item_knn", "item_knn", defaults["idrec"]["methods"] | methods, problems)
    assert isinstance(knn, NonParametricMethod) and isinstance(knn.model, ItemKNN)
    sequence_methods = {name: p for name, p in parsed.items() if isinstance(p, SequenceMethod)}
    trainer = params.load(Trainer, "trainer", path if "trainer" in tree and not notice else DEFAULTS)
    pin_memory = bool(tree["idrec"].get("pin_memory"))
    return FitParams(sequence_methods, knn.model, pin_memory, trainer.validation_users, notice)


def proposed_size(name: str, model: SequenceModel, users: int) -> str:
    """Return a notice that proposes the size for this many users where a BERT4Rec has another; or nothing."""
    if not isinstance(model, BERT4Rec):
        return ""
    size = "small" if users < 10_000 else "medium" if users <= 100_000 else "large"
    reason, values = SIZES[size]
    present = {key: getattr(model, key) for key in values}
    if present == values:
        return ""
    options = " ".join(f"-S {name}.model.{key}={value}" for key, value in values.items())
    listed = ", ".join(f"{key} {value}" for key, value in present.items())
    return (
        f"{name} has {listed}; idrec={size} is the size for {reason}, these data have {users:,}: "
        f"`kitrec profile use idrec={size}`, or {options}"
    )


def split_names(options: Sequence[str]) -> list[str]:
    """Return the names of options such as `sasrec,bert4rec`, each once."""
    names = [name.strip() for option in options for name in option.split(",") if name.strip()]
    return list(dict.fromkeys(names))


def trainable_names(methods: Mapping[str, Any]) -> list[str]:
    """Return the sequence methods; of those that differ in `history` alone the first, as the data have one domain."""
    names: dict[str, str] = {}
    for name, method in methods.items():
        if _kind(method) not in CROSS_DOMAIN_KINDS | NON_PARAMETRIC_KINDS:
            names.setdefault(json.dumps({**method, "history": None}, sort_keys=True), name)
    return list(names.values())


def _tree(path: Path) -> dict[str, Any]:
    """Return params.yaml; nothing where there is none, or it is another project's."""
    tree = params.read(path) if path.exists() else {}
    return tree if isinstance(tree.get("idrec"), dict) and isinstance(tree["idrec"].get("methods"), dict) else {}


def _kind(method: Any) -> Any:
    model = method.get("model") if isinstance(method, dict) else None
    return model.get("kind") if isinstance(model, dict) else None


def _check_names(names: Sequence[str], methods: Mapping[str, Any]) -> None:
    problems = [] if names else ["no method is named"]
    for name in names:
        if name not in methods:
            close = get_close_matches(name, trainable_names(methods), n=1)
            problems.append(f"there is no method {name!r}" + (f", did you mean {close[0]}?" if close else ""))
        elif _kind(methods[name]) in CROSS_DOMAIN_KINDS:
            problems.append(f"{name} needs two domains, these data have one")
        elif _kind(methods[name]) in NON_PARAMETRIC_KINDS:
            problems.append(f"{name} learns no sequences (popularity and item_knn are reported beside every model)")
    if problems:
        raise InputError(f"--method: {'; '.join(problems)}. Choose of {', '.join(trainable_names(methods))}")


def _set(chosen: dict[str, Any], override: str) -> list[str]:
    """Set `key=value` in the methods it applies to; return the problems."""
    key, equals, text = override.partition("=")
    first, *rest = key.strip().removeprefix(PREFIX).split(".")
    named = first in chosen
    path = rest if named else [first, *rest]
    if not equals or not path or not all(path):
        return [f"{override}: write KEY=VALUE, such as training.epochs=20 or sasrec.model.dropout=0.2"]
    try:
        value = YAML(typ="safe").load(text)
    except YAMLError as problem:
        return [f"{override}: no value ({str(problem).splitlines()[0]})"]
    for name in [first] if named else list(chosen):
        node = chosen[name]
        for part in path[:-1]:
            node = node.get(part) if isinstance(node, dict) else None
        if not isinstance(node, dict):
            return [f"{override}: {name} has no {'.'.join(path[:-1])}"]
        node[path[-1]] = value
    return []


def _parse(key: str, name: str, methods: Mapping[str, Any], problems: list[str]) -> Any:
    """Return a method by the strict check of params.yaml."""
    return params.parse(AnyMethod, key, _nested(key, methods[name]), problems)  # type: ignore[arg-type]  # a union


def _nested(key: str, value: Any) -> dict[str, Any]:
    tree: Any = value
    for part in reversed(key.split(".")):
        tree = {part: tree}
    return dict(tree)
