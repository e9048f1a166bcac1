"""The four sources of `prepare`: each becomes the same items, records and interactions."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from kitrec.core import tables
from kitrec.core.domains import SETS
from kitrec.preprocessing.dataset import Dataset, build_dataset, mark_last_target_items
from kitrec.preprocessing.params import Candidates, Source, Users
from kitrec.preprocessing.users import Groups, classify, sample_roles, sampled_users
from kitrec.schemas.split_interactions import SPLIT_INTERACTIONS
from kitrec.sources import amazon2023, kitrec_dataset, kitrec_hub
from kitrec.sources.category_teacher import CategoryTeacher
from kitrec.sources.quarantine import Quarantine
from kitrec.synthetic.build import SyntheticWorld, build_world
from kitrec.synthetic.params import World
from kitrec.synthetic.teacher import Teacher, TemplateTeacher, add_teacher_outputs

RAW = Path("raw")


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
    train_on: str  # all_reviews: the interactions of users without a role too
    quiet: bool


@dataclass(frozen=True)
class Sourced:
    """What a source gives: `interactions` is all that is known of its users, `others` those of users without a role
    (none where nobody asked, or the source has no others), `world` its truth."""

    items: pl.DataFrame
    dataset: Dataset
    interactions: pl.DataFrame
    others: pl.DataFrame
    counts: dict[str, object]
    teacher: Teacher
    world: SyntheticWorld | None = None


def read(asked: Asked) -> Sourced:
    """The data of the source that params.yaml names."""
    return {"synthetic": synthetic, "amazon": amazon, "kitrec": kitrec, "hub": kitrec}[asked.source.kind](asked)


def synthetic(asked: Asked) -> Sourced:
    """A world grown from the seed."""
    world = build_world(asked.seed, asked.world, asked.users.per_type)
    roles = sample_roles(asked.seed, classify(world.interactions), asked.users)
    others = world.interactions.join(sampled_users(roles), on="user_id", how="anti")
    others = others if asked.train_on == "all_reviews" else others.clear()
    return _drawn(asked, roles, world, others, TemplateTeacher(world.themes, world.items))


def amazon(asked: Asked) -> Sourced:
    """Raw reviews and items of Amazon 2023."""
    raw = amazon2023.find_files(RAW, {"books": "Books", "movies": "Movies_and_TV", "music": asked.source.music})
    everyone = asked.train_on == "all_reviews"
    crawl = amazon2023.load(
        raw, asked.seed, asked.users, asked.work, asked.rejects, everyone=everyone, quiet=asked.quiet
    )
    return _drawn(asked, crawl.roles, crawl, crawl.others, CategoryTeacher(crawl.items))


def kitrec(asked: Asked) -> Sourced:
    """KitREC's own files, from raw/ or from the hub, with the outputs they bring."""
    source, share, count = asked.source, asked.users.development_share, asked.candidates.count
    files = (
        kitrec_hub.fetch(source.hub.owner, source.hub.revisions)
        if source.kind == "hub"
        else kitrec_dataset.files_in(RAW)
    )
    given = kitrec_dataset.load_dataset(files, asked.seed, share, count, asked.rejects, quiet=asked.quiet)
    nobody = tables.from_rows([], SPLIT_INTERACTIONS)
    return Sourced(given.items, given.dataset, given.interactions(), nobody, {}, CategoryTeacher(given.items))


def _drawn(
    asked: Asked, roles: Groups, found: SyntheticWorld | amazon2023.Crawl, others: pl.DataFrame, teacher: Teacher
) -> Sourced:
    share, items, seen = asked.users.development_share, found.items, found.interactions
    dataset = build_dataset(asked.seed, roles, share, asked.candidates, items, seen, SETS, quiet=asked.quiet)
    world, counts = (found, {}) if isinstance(found, SyntheticWorld) else (None, found.counts)
    return Sourced(
        items, add_teacher_outputs(dataset, teacher), seen, mark_last_target_items(others), counts, teacher, world
    )
