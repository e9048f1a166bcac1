"""`kitrec plan CARD`: hours, memory, disk and price of every stage of the chosen params, from measured speeds alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.table import Table

from kitrec.cli.disk_plan import adapter_bytes, disk_plan, parameter_count
from kitrec.cli.measured_rates import Card, measured_card, rate_for
from kitrec.cli.stage_work import UNITS, Work, stage_work
from kitrec.config.sections import validate_params
from kitrec.core import params
from kitrec.core.errors import InputError
from kitrec.llm.base.pinning import pin, pin_served

if TYPE_CHECKING:
    from kitrec.llm.base.memory_plan import MemoryPlan

CardName = Literal["cpu", "a100", "h100", "rtx5090"]


@dataclass(frozen=True)
class PlannedStage:
    """What a stage takes; None is what nobody measured, and `unknown` says what that is."""

    name: str
    work: Work
    seconds: float | None
    sources: tuple[str, ...]
    unknown: str
    memory: "MemoryPlan | None" = None
    disk_gib: float | None = None


def plan(
    card: Annotated[CardName, typer.Argument(help="what the run would use")],
    price_per_hour: Annotated[
        str | None, typer.Option(help="of the card: a number, or a YAML file of `card: price`; without it no prices")
    ] = None,
) -> None:
    """Print what a run of params.yaml costs on a card: hours, memory, disk and price by stage.

    Speeds are measured ones; a stage without a measurement says so, and has no hours and no price."""
    sections = validate_params(params.FILE)
    price = None if price_per_hour is None else _price(price_per_hour, card)
    stages = planned_stages(sections, measured_card(card))
    _print(stages, price)
    for part, gib in disk_plan(sections, base_is_cached=False).items():
        if part in ("base", "served copy", "checkpoints", "working space") and gib >= 0.05:
            print(f"disk beside the stages: {part} {gib:.1f} GiB")


def planned_stages(s: Mapping[str, Any], card: Card) -> list[PlannedStage]:
    """Return all stages of a run in their order."""
    memory, disk = _memory_plans(s, card), _disk(s)
    stages = []
    for name, work in stage_work(s).items():
        stage = name.partition("-")[0]
        seconds, sources, unknown = stage_seconds(name, work, card, parameter_count(s["base"]))
        stages.append(PlannedStage(name, work, seconds, sources, unknown, memory.get(stage), disk.get(name)))
    return stages


def stage_seconds(name: str, work: Work, card: Card, parameters: float) -> tuple[float | None, tuple[str, ...], str]:
    """Return the seconds of a stage (None: unknown), the sources of its rates, and what was not measured."""
    if work.amounts is None:
        return None, (), "its work is not counted"
    start = card.starts.get(name.partition("-")[0], card.starts.get(""))
    if start is None and not work.amounts:
        return None, (), "not measured: its start"
    seconds, sources, missing = start or 0.0, list[str](), list[str]()
    for unit, amount in work.amounts.items():
        if unit in card.included:
            continue
        rate = rate_for(card, unit, parameters)
        if rate is None:
            missing.append(UNITS[unit])
        else:
            seconds, sources = seconds + amount / rate.per_second, [*sources, rate.source]
    if missing:
        return None, tuple(sources), f"not measured: {', '.join(missing)}"
    return seconds, tuple(sources), ""


def _memory_plans(s: Mapping[str, Any], card: Card) -> "dict[str, MemoryPlan]":
    """Return the memory plans by stage; none for a base whose configuration is not here."""
    from kitrec.cli.memory_plans import stage_plans  # imports torch
    from kitrec.llm.base.memory_plan import device_memory, model_size

    try:
        base, served = pin(s["base"]), pin_served(s["base"])
        device = device_memory() if card.memory_gib is None else card.memory_gib
        plans = stage_plans(s, base, model_size(base), device, served if served != base else None)
    except (InputError, OSError):  # of the hub, and not pinned or not fetched
        return {}
    return {stage.partition("@")[0]: memory for stage, memory in plans.items()}


def _disk(s: Mapping[str, Any]) -> dict[str, float]:
    """Return stage -> GiB that it leaves."""
    parts, parameters = disk_plan(s, base_is_cached=True), parameter_count(s["base"])
    disk = {"prepare": parts["data"]}
    for stage in stage_work(s):
        name = stage.partition("-")[0]
        if name in ("train_dualft", "train_singleft"):
            disk[stage] = adapter_bytes(parameters, s[name.removeprefix("train_")].lora_rank) / 2**30
        elif name == "infer_vllm":
            disk[stage] = parts["answers"] / max(len(s["infer"].methods), 1)
    return disk


def _price(price: str, card: str) -> float:
    """Return the price of an hour: the number itself, or that of the card in a YAML file."""
    try:
        return float(price)
    except ValueError:
        prices = params.read(Path(price))
    if not isinstance(prices.get(card), int | float):
        raise InputError(f"--price-per-hour: {price} has no price of {card}: write a line `{card}: 2.50`")
    return float(prices[card])


def _print(stages: list[PlannedStage], price: float | None) -> None:
    prices = [] if price is None else ["price"]
    table, notes = Table("stage", "work", "time", *prices, "memory GiB", "disk GiB", "notes"), dict[str, int]()
    for each in stages:
        cost = [] if price is None else ["?" if each.seconds is None else f"{each.seconds / 3600 * price:,.2f}"]
        memory = "–" if each.memory is None else f"{each.memory.needed:.1f}" + ("" if each.memory.fits else " too much")
        disk = "–" if each.disk_gib is None else f"{each.disk_gib:.2f}"
        said = filter(None, [*each.sources, *each.work.guess.split("; "), each.unknown])
        numbers = ", ".join(str(notes.setdefault(note, len(notes) + 1)) for note in said)
        table.add_row(each.name, str(each.work), duration(each.seconds), *cost, memory, disk, numbers)
    Console().print(table)
    for note, number in notes.items():
        print(f"{number}: {note}")
    known = [each.seconds for each in stages if each.seconds is not None]
    total = sum(known)
    cost_text = "" if price is None else f", a price of {total / 3600 * price:,.2f}"
    print(f"{duration(total)}{cost_text}: {len(known)} of {len(stages)} stages", end="")
    print("" if len(known) == len(stages) else "; of the others (?) nothing is measured, so this is the least")


def duration(seconds: float | None) -> str:
    """Return a time in hours, minutes or seconds."""
    if seconds is None:
        return "?"
    if seconds >= 3600:
        return f"{seconds / 3600:,.1f} h"
    return f"{seconds / 60:.1f} min" if seconds >= 60 else f"{seconds:.1f} s"
