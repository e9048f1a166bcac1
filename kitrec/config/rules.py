"""Rules between the sections of params.yaml."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kitrec.core.domains import KITREC
from kitrec.llm.generation.params import TRAINED, budgeted
from kitrec.recommenders.models import params as crossdomain
from kitrec.recommenders.params import CrossDomainMethod, SequenceMethod

PREFILL = 16  # tokens inserted for the model between its thought and a constrained answer
_WITHOUT_VECTORS = crossdomain.CROSS_DOMAIN_KINDS - {"bpr_mf"}


def violations(s: Mapping[str, Any]) -> list[str]:
    """Return all violated rules as error messages; `s` maps section names to their dataclasses."""
    return [
        *_domains(s),
        *_lengths_and_models(s),
        *_budgets(s),
        *_equal_lists(s),
        *_training(s),
        *_method_references(s),
        *_rankings(s),
        *_fusions(s),
        *_encoders("ilora", s, (SequenceMethod,)),
        *_encoders("thinkrec", s, (SequenceMethod, CrossDomainMethod)),
        *_teachers(s),
        *(
            f"evaluation.ablation.methods: {method} is not evaluated; add it to evaluation.methods"
            for method in s["evaluation"].ablation.methods
            if method not in s["evaluation"].methods
        ),
    ]


def _domains(s: Mapping[str, Any]) -> list[str]:
    """Require the domains that the source has, and targets and models that follow from them."""
    domains, kind, problems = s["domains"], s["source"].kind, []
    if kind != "tables" and (domains.names, domains.shown_labels) != (KITREC.names, KITREC.shown_labels):
        problems.append(
            f"domains: source.kind {kind} has Books as source, Movies & TV and Music as targets, by the names of the "
            "shipped params.yaml; other domains need source.kind: tables"
        )
    if kind != "tables" and s["users"].cut:
        problems.append(f"users.cut: of source.kind tables alone, not {kind}; set it to false")
    for name in s["train"].targets:
        if name not in domains.targets:
            problems.append(f"train.targets: {name} is not among domains.targets ({', '.join(domains.targets)})")
    for name in s["preference"].models:
        if name not in domains.models:
            problems.append(
                f"preference.models: {name!r} is no fine-tuned model; choose from {', '.join(domains.models)}"
            )
    return problems


def _lengths_and_models(s: Mapping[str, Any]) -> list[str]:
    """Require enough items, and trained adapters for all methods."""
    problems = []
    for domain in KITREC.targets if s["source"].kind == "synthetic" else ():
        if s["world"].items(domain) < 2 * s["candidates"].count:
            problems.append(f"world.{domain}: must be at least twice candidates.count ({s['candidates'].count}) items")
    if s["prompt"].published and s["source"].kind not in ("kitrec", "hub"):
        problems.append(
            f"prompt.text: source.kind {s['source'].kind} has no published prompts; set rendered, or kitrec or hub"
        )
    if s["prompt"].published and s["prompt"].labels:
        problems.append("prompt.labels: published prompts have none; set labels to false, or prompt.text to rendered")
    for name, method in s["infer"].methods.items():
        problems += _untrained_adapter(name, method.model, s)
    return problems


def _budgets(s: Mapping[str, Any]) -> list[str]:
    """Require an engine, and rewarded answers, that hold what the budgets of the base allow."""
    methods = {name: budgeted(method, s["infer"].budgets) for name, method in s["infer"].methods.items()}
    needed = {
        name: m.max_new_tokens + (PREFILL if m.thinking_budget or m.structured_outputs else 0)
        for name, m in methods.items()
    }
    largest = max(needed, key=lambda name: needed[name], default=None)
    problems = []
    if largest and s["engine"].max_model_len < s["prompt"].max_length + needed[largest]:
        problems.append(
            f"engine.max_model_len: {s['engine'].max_model_len} cannot hold a prompt of prompt.max_length "
            f"({s['prompt'].max_length}) and the {needed[largest]} tokens that infer.budgets gives {largest}; raise it "
            f"to {s['prompt'].max_length + needed[largest]}, or lower one of them"
        )
    answer = s["infer"].budgets.thought_tokens + s["infer"].budgets.item_tokens
    if s["preference"].models and s["preference"].method == "grpo" and s["preference"].max_new_tokens < answer:
        problems.append(
            f"preference.max_new_tokens: {s['preference'].max_new_tokens} cuts answers that infer.budgets lets "
            f"adapters write, and a cut answer earns no reward; raise it to {answer}"
        )
    return problems


def _equal_lists(s: Mapping[str, Any]) -> list[str]:
    """Require declared tests of written rankings to compare lists of the same number of items.

    The first item is the same question at any length: hit@1 needs no equal lists."""
    items = {name: budgeted(method, s["infer"].budgets).answer_items for name, method in s["infer"].methods.items()}
    family, ablation = s["evaluation"].family, s["evaluation"].ablation
    groups = {"family.pairs": (family, family.pairs), "ablation.methods": (ablation, [ablation.methods])}
    problems = []
    for key, (tested, compared) in groups.items():
        if tested.kind != "written" or set(tested.metrics) <= {"hit@1"}:
            continue
        for names in compared:
            requested = {name: items[name] for name in names if name in items}
            if len(set(requested.values())) > 1:
                listed = ", ".join(f"{name} {count}" for name, count in requested.items())
                problems.append(
                    f"evaluation.{key}: written answers of different numbers of items ({listed}) compare in hit@1 "
                    "alone; take kind: scored, metrics: [hit@1], or infer.budgets.answer_items: 1"
                )
    return problems


def _untrained_adapter(method: str, model: str, s: Mapping[str, Any]) -> list[str]:
    """Require that a stage trains the adapters of a method, or that others' adapters are there for all user types."""
    problem = f"infer.methods.{method}.model: {model} is not trained"
    if model == "preferred":
        missing = sorted(set(s["domains"].models) - set(s["preference"].models))
        return [f"{problem} for {', '.join(missing)}; add to preference.models"] if missing else []
    if model in ("base", *s["train"].variants):
        return []
    if model in TRAINED:
        return [f"{problem}; add it to train.variants ({', '.join(s['train'].variants)}) or remove the method"]
    folder = Path("models") / model
    missing = [name for name in s["domains"].models if not (folder / name / "adapter_config.json").is_file()]
    if not missing:
        return []
    pulled = sorted({path.parts[1] for path in Path("models").glob("*/*/adapter_config.json")} - {*TRAINED, model})
    return [
        f"{problem} here, and {folder} lacks {', '.join(missing)}: every user type needs its adapter; fetch it by "
        f"`kitrec hub pull-model OWNER/NAME --as {model}/{missing[0]}`, or set base, "
        f"{', '.join([*s['train'].variants, *pulled])}"
    ]


def _training(s: Mapping[str, Any]) -> list[str]:
    """Require a supported optimizer, and the adapters that preference training starts from."""
    problems = [
        f"{family}.optimizer: adamw_8bit has no sharded state; use adamw_torch_fused, or no fsdp"
        for family in ("dualft", "singleft")
        if s["launch"].sharded and s[family].optimizer == "adamw_8bit"
    ]
    if s["preference"].models and "full" not in s["train"].variants:
        problems.append("preference.models: they start from adapters of the variant full; add it to train.variants")
    for name in s["preference"].models:
        if name in s["domains"].models and name.partition("-")[2] not in s["train"].targets:
            problems.append(f"preference.models: {name} is not trained; add its target to train.targets, or remove it")
    return problems


def _method_references(s: Mapping[str, Any]) -> list[str]:
    """Require that methods named in other sections exist."""
    references = {"rationales.methods": s["rationales"].methods, "judge.methods": s["judge"].methods}
    references |= {"probes.precision": s["probes"].precision, "probes.orders": s["probes"].orders}
    problems = []
    for key, name in ((key, name) for key, names in references.items() for name in names):
        if name not in s["infer"].methods:
            problems.append(f"{key}: {name!r} is no method of infer.methods ({', '.join(s['infer'].methods)})")
        elif key == "probes.orders" and s["infer"].methods[name].steps != "single":
            problems.append(f"probes.orders: {name} has several steps; only single-step methods can be reordered")
    return problems


def _rankings(s: Mapping[str, Any]) -> list[str]:
    """Require exactly one source of rankings for every evaluated method."""
    ranked = ranked_methods(s)
    problems = [
        f"idrec.train: {name} is also one of infer.methods; rename one" for name in ranked if ranked.count(name) > 1
    ]
    for name in s["evaluation"].methods:
        if name not in ranked:
            way_out = "; add it to idrec.train" if name in s["idrec"].methods else f"; there are {', '.join(ranked)}"
            problems.append(f"evaluation.methods: {name!r} has no rankings{way_out}")
    return sorted(set(problems))


def _fusions(s: Mapping[str, Any]) -> list[str]:
    """Require that both methods of a fusion are trained."""
    trained = {"titles": s["titles"].train, "recommender": s["idrec"].train}
    return [
        f"titles.fusions.{name}.{key}: {method!r} is not trained; add it to "
        f"{'titles' if key == 'titles' else 'idrec'}.train ({', '.join(trained[key])})"
        for name, fusion in s["titles"].fusions.items()
        for key, method in (("titles", fusion.titles), ("recommender", fusion.recommender))
        if method not in trained[key]
    ]


def ranked_methods(s: Mapping[str, Any]) -> list[str]:
    """Return the methods whose rankings the stages write: folders of data/rankings."""
    students = [
        f"{student}-{teacher}" for student in s["distillation"].students for teacher in s["distillation"].teachers
    ]
    students += [f"{student}-baseline" for student in s["distillation"].students]
    teachers = [
        *(f"ilora-{name}" for name in s["ilora"].encoders),
        *(f"thinkrec-{name}" for name in s["thinkrec"].train),
    ]
    teachers += s["distillation"].teachers_to_rank
    return [
        "references",
        *s["infer"].methods,
        *s["idrec"].train,
        *s["titles"].train,
        *s["titles"].fusions,
        *teachers,
        *students,
    ]


def _encoders(
    section: str, s: Mapping[str, Any], kinds: tuple[type[SequenceMethod | CrossDomainMethod], ...]
) -> list[str]:
    """Require encoders that are trained, have vectors, and were not trained on the users that select their section."""
    problems = []
    for name in s[section].encoders:
        method = s["idrec"].methods.get(name) if name in s["idrec"].train else None
        if not isinstance(method, kinds) or method.model.kind in _WITHOUT_VECTORS:
            others = " or bpr_mf" if CrossDomainMethod in kinds else ""
            problems.append(f"{section}.encoders: {name} is no trained sequence model{others}; add it to idrec.train")
        elif method.training.mode == "full_data":
            problems.append(
                f"{section}.encoders: {name} is also trained on the development users' answers (training.mode: "
                "full_data), which select the models built on it; set mode: standard"
            )
    return problems


def _teachers(s: Mapping[str, Any]) -> list[str]:
    """Require that every teacher exists and has the history of its students."""
    p = s["distillation"]
    available = [*p.teachers_to_build, *(f"ilora-{name}" for name in s["ilora"].encoders)]
    external = {path.parent.name for path in Path("data/teachers").glob("*/lists.parquet")} - {"oracle", "ensemble"}
    external = {name for name in external if not name.startswith("ilora-")}  # outputs of earlier params
    problems = []
    for name in p.teachers:
        if name == "baseline":
            problems.append("distillation.teachers: baseline is the name of students without a teacher; choose another")
        if name not in available:
            if name not in external:
                problems.append(
                    f"distillation.teachers: {name!r} does not exist; add it to distillation.teachers_to_build, "
                    "or to ilora.encoders, or import its files by `kitrec teacher from-text`"
                )
            continue
        encoder = name.removeprefix("ilora-")
        history = s["idrec"].methods[encoder].history if encoder != name and encoder in s["idrec"].methods else "both"
        problems += [
            f"distillation.settings.{student}.student.history: {name} ranks by the history of {history}; set that"
            for student in p.students
            if p.settings[student].student.history != history
        ]
    problems += [
        f"distillation.ensemble.members.{name}.history: an ensemble needs the history of both domains; set both"
        for name, member in p.ensemble.members.items()
        if member.history != "both" and p.teachers_to_build
    ]
    if "oracle" in p.teachers_to_build and s["source"].kind != "synthetic":
        problems.append(
            "distillation.teachers_to_build: only a synthetic world has an oracle; use ensemble "
            "(`kitrec profile use variants=distilled_real`)"
        )
    return problems
