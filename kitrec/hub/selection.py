"""Selection of the twelve data sets or eight models to publish: a single one, all of one set, or all."""

from kitrec.core.domains import KITREC, SETS, Domains
from kitrec.core.errors import InputError
from kitrec.sources.kitrec_hub import dataset_names


def model_types(domains: Domains = KITREC) -> tuple[str, ...]:
    """Return the types of models."""
    return tuple(model.replace("-", "_") for model in domains.models)


def data_types(domains: Domains = KITREC) -> tuple[str, ...]:
    """Return the types of data sets."""
    return (*model_types(domains), "val", "test")


def select_data_sets(
    model_type: str | None, which: str | None, *, everything: bool, domains: Domains = KITREC
) -> dict[str, tuple[str, str]]:
    """Return name on the hub -> (set, type)."""
    chosen = _selected(model_type, which, data_types(domains), everything=everything)
    names = {(w, _type_of(name)): name for name, (w, _) in dataset_names(domains).items()}
    return {names[key]: key for key in names if key in chosen}


def select_models(
    model_type: str | None, which: str | None, *, everything: bool, domains: Domains = KITREC
) -> dict[str, tuple[str, str]]:
    """Return name on the hub -> (set, type)."""
    chosen = _selected(model_type, which, model_types(domains), everything=everything)
    return {f"kitrec-{kind.replace('_', '-')}-set{w}-model": (w, kind) for w, kind in sorted(chosen)}


def _type_of(name: str) -> str:
    return name.removeprefix("kitrec-").rpartition("-set")[0]


def _selected(
    model_type: str | None, which: str | None, types: tuple[str, ...], *, everything: bool
) -> set[tuple[str, str]]:
    if everything == (model_type is not None):
        raise InputError("give --model-type NAME --set A, or --set A --all, or --all")
    if model_type is not None and (model_type not in types or which is None):
        raise InputError(f"--model-type is one of {', '.join(types)} and needs --set A or --set B")
    if which is not None and which not in SETS:
        raise InputError(f"--set is A or B, not {which!r}")
    return {(w, kind) for w in ([which] if which else SETS) for kind in ([model_type] if model_type else types)}
