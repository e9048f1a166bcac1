"""The four sources of `prepare`: each becomes the same items, records and interactions."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from kitrec.domains import SETS
from kitrec.prep.dataset import Dataset, build_dataset
from kitrec.prep.params import Candidates, Source, Users
from kitrec.prep.users import Groups, classify, sample_roles
from kitrec.sources import amazon2023, hub, kitrec_dataset
from kitrec.sources.category_teacher import CategoryTeacher
from kitrec.sources.quarantine import Quarantine
from kitrec.world.build import BuiltWorld, build_world
from kitrec.world.params import World
from kitrec.world.teacher import Teacher, TemplateTeacher, with_outputs

RAW = Path("raw")
AMAZON = {"books": "Books", "movies": "Movies_and_TV"}


@dataclass(frozen=True)
class Asked:
    """What a source may need."""

    seed: int
    source: Source
    world: World
    users: Users
    candidates: Candidates
    work: Path
    rejects: Quarantine
    quiet: bool


@dataclass(frozen=True)
class Sourced:
    """What a source gives: `interactions` is all that is known of its users, `world` its truth."""

    items: pl.DataFrame
    dataset: Dataset
    interactions: pl.DataFrame
    counts: dict[str, Any]
    world: BuiltWorld | None = None


def read(asked: Asked) -> Sourced:
    """The data of the source that params.yaml names."""
    return {"synthetic": synthetic, "amazon": amazon, "kitrec": kitrec, "hub": kitrec}[asked.source.kind](asked)


def synthetic(asked: Asked) -> Sourced:
    """A world grown from the seed."""
    world = build_world(asked.seed, asked.world, asked.users.per_type)
    roles = sample_roles(asked.seed, classify(world.interactions), asked.users)
    dataset = _drawn(asked, roles, world.items, world.interactions)
    teacher = TemplateTeacher(world.themes, world.items)
    return Sourced(world.items, _taught(dataset, teacher), world.interactions, {}, world)


def amazon(asked: Asked) -> Sourced:
    """Raw reviews and items of Amazon 2023."""
    raw = amazon2023.find(RAW, {**AMAZON, "music": asked.source.music})
    crawl = amazon2023.load(raw, asked.seed, asked.users, asked.work, asked.rejects, quiet=asked.quiet)
    dataset = _drawn(asked, crawl.roles, crawl.items, crawl.interactions)
    return Sourced(crawl.items, _taught(dataset, CategoryTeacher(crawl.items)), crawl.interactions, crawl.counts)


def kitrec(asked: Asked) -> Sourced:
    """KitREC's own files, from raw/ or from the hub, with the outputs they bring."""
    source, share = asked.source, asked.users.development_share
    files = hub.fetch(source.hub.owner, source.hub.revisions) if source.kind == "hub" else kitrec_dataset.files_in(RAW)
    given = kitrec_dataset.load_dataset(
        files, asked.seed, share, asked.candidates.count, asked.rejects, quiet=asked.quiet
    )
    shown = pl.concat(list(given.dataset.interactions.values())).unique(["user_id", "item_id"], maintain_order=True)
    return Sourced(given.items, given.dataset, shown, {})


def _drawn(asked: Asked, roles: Groups, items: pl.DataFrame, interactions: pl.DataFrame) -> Dataset:
    share = asked.users.development_share
    return build_dataset(asked.seed, roles, share, asked.candidates, items, interactions, SETS, quiet=asked.quiet)


def _taught(dataset: Dataset, teacher: Teacher) -> Dataset:
    """Training and development records with the teacher's output."""
    records = {
        which: {**own, **{role: with_outputs(own[role], teacher) for role in ("train", "development")}}
        for which, own in dataset.records.items()
    }
    return replace(dataset, records=records)
