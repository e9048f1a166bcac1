"""The sections of params.yaml as one catalogue, and the overlays of conf/ that are merged into it, comments kept."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from kitrec.core import files, params
from kitrec.core.domains import MODELS
from kitrec.core.errors import InputError
from kitrec.distillation.params import Distillation
from kitrec.evaluation.params import Evaluation
from kitrec.ilora.params import IloraTeacher
from kitrec.llm.finetuning.params import Base, FineTune, Launch, Train
from kitrec.llm.generation.params import Engine, Infer, Probes, Rationales
from kitrec.llm.preference.params import Preference
from kitrec.llm_judge.params import Judge
from kitrec.preprocessing.params import Candidates, Data, Source, Users
from kitrec.prompts.params import Prompt
from kitrec.recommenders.models import params as crossdomain
from kitrec.recommenders.params import CrossDomain, IdRec, Method
from kitrec.synthetic.params import World
from kitrec.thinkrec.params import ThinkRec
from kitrec.tinybase.params import TinyBase

CONF = Path("conf")
METHODS = ["infer", "methods"]  # maps of names, where alone an overlay may add keys
STAGES = ["thinkrec", "train"]
SECTIONS: dict[str, type] = {
    "seed": int,
    "source": Source,
    "data": Data,
    "world": World,
    "users": Users,
    "candidates": Candidates,
    "base": Base,
    "prompt": Prompt,
    "train": Train,
    "launch": Launch,
    "dualft": FineTune,
    "singleft": FineTune,
    "preference": Preference,
    "engine": Engine,
    "infer": Infer,
    "rationales": Rationales,
    "probes": Probes,
    "idrec": IdRec,
    "ilora": IloraTeacher,
    "distillation": Distillation,
    "thinkrec": ThinkRec,
    "evaluation": Evaluation,
    "judge": Judge,
    "tiny_base": TinyBase,
}
LEAD = 16  # tokens written for the model between its thought and a bound answer


def check(path: Path = params.FILE) -> dict[str, Any]:
    """Every section of the file as its dataclass; all problems of all sections in one error."""
    return check_tree(params.read(path), path)


def check_tree(tree: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The same for a tree already read, `path` being the name to blame."""
    problems: list[str] = [
        f"{name}: unknown section; known: {', '.join(SECTIONS)}" for name in tree if name not in SECTIONS
    ]
    sections = {name: params.parse(cls, name, tree, problems) for name, cls in SECTIONS.items()}
    if not problems:
        problems += _disagreements(sections)
    if problems:
        raise InputError(params.listing(path, problems))
    return sections


def _disagreements(s: Mapping[str, Any]) -> list[str]:
    """Rules between sections."""
    found = []
    for domain in ("movies", "music"):
        if s["world"].items(domain) < 2 * s["candidates"].count:
            found.append(f"world.{domain}: must be at least twice candidates.count ({s['candidates'].count}) items")
    for name, method in s["infer"].methods.items():
        lead = LEAD if method.thinking_budget or method.constrained else 0
        need = s["prompt"].max_length + method.max_new_tokens + lead
        if s["engine"].max_model_len < need:
            found.append(
                f"engine.max_model_len: {s['engine'].max_model_len} holds no prompt of prompt.max_length and "
                f"infer.methods.{name}.max_new_tokens more; raise it to {need}"
            )
        found += _untrained(name, method.model, s)
    for family in ("dualft", "singleft"):
        if s["launch"].sharded and s[family].optimizer == "adamw_8bit":
            found.append(f"{family}.optimizer: adamw_8bit has no sharded state; take adamw_torch_fused, or no fsdp")
    if s["preference"].models and "full" not in s["train"].variants:
        found.append("preference.models: they start from adapters of the variant full; add it to train.variants")
    for name in s["preference"].models:
        if name.partition("-")[2] not in s["train"].targets:
            found.append(f"preference.models: {name} is not trained; add its target to train.targets, or take it out")
    asked = {"rationales.methods": s["rationales"].methods, "judge.methods": s["judge"].methods}
    asked |= {"probes.precision": s["probes"].precision, "probes.orders": s["probes"].orders}
    for where, name in ((where, name) for where, names in asked.items() for name in names):
        if name not in s["infer"].methods:
            found.append(f"{where}: {name!r} is no method; there are {', '.join(s['infer'].methods)}")
        elif where == "probes.orders" and s["infer"].methods[name].steps != "single":
            found.append(f"probes.orders: {name} is asked in several steps; only methods in one step can be reordered")
    found += _unranked(s)
    found += _untaught(s)
    for method in s["evaluation"].ablation.methods:
        if method not in s["evaluation"].methods:
            found.append(f"evaluation.ablation.methods: {method} is not evaluated; add it to evaluation.methods")
    return found


def _unranked(s: Mapping[str, Any]) -> list[str]:
    """Methods that are evaluated and that nothing ranks; two rankers of one name."""
    distilled = [f"{own}-{other}" for own in s["distillation"].students for other in s["distillation"].teachers]
    asked = [*(f"ilora-{own}" for own in s["ilora"].encoders), *(f"thinkrec-{own}" for own in s["thinkrec"].train)]
    asked += s["distillation"].teachers_to_rank
    ranked = ["references", *s["infer"].methods, *s["idrec"].train, *asked, *distilled]
    found = [
        f"idrec.train: {name} is also one of infer.methods; rename one" for name in ranked if ranked.count(name) > 1
    ]
    for name in s["evaluation"].methods:
        if name not in ranked:
            known = "; add it to idrec.train" if name in s["idrec"].methods else f"; there are {', '.join(ranked)}"
            found.append(f"evaluation.methods: {name!r} has no rankings{known}")
    return sorted(set(found))


_WITHOUT_VECTORS = crossdomain.LEARNED - {"bpr_mf"}


def _blind(
    key: str, names: list[str], s: Mapping[str, Any], kinds: tuple[type[Method | CrossDomain], ...]
) -> list[str]:
    """Eyes that are not trained, have no vectors, or have seen the answers by which their section chooses."""
    found = []
    for name in names:
        own = s["idrec"].methods.get(name) if name in s["idrec"].train else None
        if not isinstance(own, kinds) or own.model.kind in _WITHOUT_VECTORS:
            others = " or bpr_mf" if CrossDomain in kinds else ""
            found.append(f"{key}: {name} is no sequence model{others} that is trained; add it to idrec.train")
        elif own.course.mode == "full_data":
            found.append(
                f"{key}: {name} learns the development users' answers too (course.mode: full_data), and they "
                "choose what learns from it; set mode: standard"
            )
    return found


def _untaught(s: Mapping[str, Any]) -> list[str]:
    """Teachers without eyes, and students of teachers that nobody makes."""
    found = [
        *_blind("ilora.encoders", s["ilora"].encoders, s, (Method,)),
        *_blind("thinkrec.eyes", s["thinkrec"].eyes, s, (Method, CrossDomain)),
    ]
    made = [*s["distillation"].teachers_to_build, *(f"ilora-{name}" for name in s["ilora"].encoders)]
    brought = {path.parent.name for path in Path("data/teachers").glob("*/lists.parquet")} - {"oracle", "ensemble"}
    brought = {name for name in brought if not name.startswith("ilora-")}  # those of earlier params are stale
    for name in s["distillation"].teachers:
        if name not in made:
            if name not in brought:
                found.append(
                    f"distillation.teachers: nobody makes {name!r}; add it to distillation.teachers_to_build, or to "
                    "ilora.encoders, or bring its files by `kitrec teacher from-text`"
                )
            continue
        eyes = name.removeprefix("ilora-")
        reads = s["idrec"].methods[eyes].history if eyes != name and eyes in s["idrec"].methods else "both"
        found += [
            f"distillation.settings.{student}.student.history: {name} speaks of {reads}; set that"
            for student in s["distillation"].students
            if s["distillation"].settings[student].student.history != reads
        ]
    found += [
        f"distillation.ensemble.members.{name}.history: an ensemble reads both domains; set both"
        for name, own in s["distillation"].ensemble.members.items()
        if own.history != "both" and s["distillation"].teachers_to_build
    ]
    if "oracle" in s["distillation"].teachers_to_build and s["source"].kind != "synthetic":
        found.append("distillation.teachers_to_build: only a synthetic world has an oracle; take ensemble")
    return found


def _untrained(method: str, model: str, s: Mapping[str, Any]) -> list[str]:
    """A method that asks adapters which no stage trains."""
    where = f"infer.methods.{method}.model: {model} is not trained"
    if model == "preferred":
        missing = sorted(set(MODELS) - set(s["preference"].models))
        return [f"{where} for {', '.join(missing)}; add to preference.models"] if missing else []
    if model in ("base", *s["train"].variants):
        return []
    return [f"{where}; add it to train.variants ({', '.join(s['train'].variants)}) or take the method out"]


def available() -> dict[str, list[str]]:
    """group -> names of its profiles."""
    return {
        folder.name: sorted(p.stem for p in folder.glob("*.yaml"))
        for folder in sorted(CONF.iterdir())
        if folder.is_dir()
    }


def overlay(choice: str) -> dict[str, Any]:
    """The overlay `group=name` as a tree."""
    group, _, name = choice.partition("=")
    known = available()
    if name not in known.get(group, []):
        choices = ", ".join(f"{g}={n}" for g, names in known.items() for n in names)
        raise InputError(f"profile {choice!r} is unknown; there are: {choices}")
    return params.read(CONF / group / f"{name}.yaml")


def leaves(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted key -> value for every leaf of a tree."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        name = f"{prefix}{key}"
        flat |= leaves(value, f"{name}.") if isinstance(value, Mapping) else {name: value}
    return flat


def as_options(choices: list[str]) -> list[str]:
    """The overlays as `-S ++key=value` options of `dvc exp run`; ++ sets a key whether or not the file has it."""
    values = {key: value for choice in choices for key, value in leaves(overlay(choice)).items()}
    return [part for key, value in values.items() for part in ("-S", f"++{key}={json.dumps(value)}".replace(" ", ""))]


def use(path: Path, choices: list[str]) -> None:
    """Merge overlays into the file."""
    values: dict[str, Any] = {}
    for choice in choices:
        values |= leaves(overlay(choice))
    put(path, values)


def put(path: Path, values: Mapping[str, Any]) -> None:
    """Set dotted keys in the file, comments kept; it is not touched unless the result is valid."""
    yaml = YAML()
    yaml.width = 120
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.representer.add_representer(type(None), lambda r, _: r.represent_scalar("tag:yaml.org,2002:null", "null"))
    tree = yaml.load(path.read_text(encoding="utf-8"))
    for key, value in values.items():
        _set(tree, key, value)
    check_tree(tree, path)
    with files.whole(path) as draft, draft.open("w", encoding="utf-8") as stream:
        yaml.dump(tree, stream)


def _set(tree: Any, key: str, value: Any) -> None:
    """Set a dotted key that must already exist, but for new methods: an overlay may change values, not invent keys."""
    *parents, last = key.split(".")
    node: Any = tree
    if parents[:2] == METHODS and len(parents) == 3:
        node["infer"]["methods"].setdefault(parents[2], {}).setdefault(last, None)
    if parents == STAGES:
        node["thinkrec"]["train"].setdefault(last, None)
    for parent in parents:
        node = node.get(parent) if isinstance(node, dict) else None
    if not isinstance(node, dict) or last not in node:
        raise InputError(f"{key} is no key of params.yaml: a profile may change values, never add keys")
    node[last] = value
