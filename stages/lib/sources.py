"""Data sources of `prepare`: each provides the same items, records and interactions."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from kitrec.core import tables
from kitrec.core.domains import SETS, Domains
from kitrec.preprocessing.cut_histories import cut_from_training
from kitrec.preprocessing.dataset import Dataset, build_dataset, mark_last_target_items
from kitrec.preprocessing.params import Candidates, Source, Users
from kitrec.preprocessing.preference_pairs import PairOutputs, own_output_pair
from kitrec.preprocessing.users import UserGroups, classify, sample_roles, sampled_users
from kitrec.schemas.interactions import SPLIT_INTERACTIONS
from kitrec.sources import amazon2023, kitrec_dataset, kitrec_hub, own_tables
from kitrec.sources.category_teacher import CategoryTeacher
from kitrec.sources.own_sample import OwnSample, sample_own_users
from kitrec.sources.quarantine import Quarantine
from kitrec.synthetic.build import SyntheticWorld, build_world
from kitrec.synthetic.params import World
from kitrec.synthetic.teacher import Teacher, TemplateTeacher
from stages.lib.output_teacher import add_outputs

RAW = Path("raw")


@dataclass(frozen=True)
class SourceConfig:
    """Params of a source, its work folder and its quarantine."""

    seed: int
    domains: Domains
    source: Source
    world: World
    users: Users
    candidates: Candidates
    work: Path
    rejects: Quarantine
    train_on: str  # all_reviews: include the interactions of users without a role
    quiet: bool


@dataclass(frozen=True)
class SourceData:
    """Data of a source: `interactions` are all known ones of its users, `others` those of users without a role, and
    what cut users of training lost (empty unless requested, or if the source has none), `pair_outputs` what the two
    sides of a preference pair say, `world` the latent variables of a synthetic one, `deviations` where published data
    is not as its documents state, or users are not natural ones."""

    items: pl.DataFrame
    dataset: Dataset
    interactions: pl.DataFrame
    others: pl.DataFrame
    counts: dict[str, object]
    pair_outputs: PairOutputs
    world: SyntheticWorld | None = None
    deviations: Sequence[str] = ()


def load_source(config: SourceConfig) -> SourceData:
    """Load the data of the source that params.yaml names."""
    loaders = {"synthetic": load_synthetic, "amazon": load_amazon, "kitrec": load_kitrec, "hub": load_kitrec}
    loaders["tables"] = load_tables
    return loaders[config.source.kind](config)


def load_synthetic(config: SourceConfig) -> SourceData:
    """Generate a synthetic world from the seed."""
    world = build_world(config.seed, config.world, config.users.per_type)
    roles = sample_roles(
        config.seed, classify(world.interactions, config.domains, config.users.min_source_items), config.users
    )
    others = world.interactions.join(sampled_users(roles), on="user_id", how="anti")
    others = others if config.train_on == "all_reviews" else others.clear()
    return _with_drawn_candidates(config, roles, world, others, TemplateTeacher(world.themes, world.items))


def load_amazon(config: SourceConfig) -> SourceData:
    """Load raw reviews and items of Amazon Reviews 2023."""
    raw = amazon2023.find_files(RAW, {"books": "Books", "movies": "Movies_and_TV", "music": config.source.music})
    sample = amazon2023.load(
        raw,
        config.seed,
        config.users,
        config.work,
        config.rejects,
        include_others=config.train_on == "all_reviews",
        quiet=config.quiet,
    )
    return _with_drawn_candidates(
        config, sample.roles, sample, sample.others, CategoryTeacher(sample.items, config.domains)
    )


def load_tables(config: SourceConfig) -> SourceData:
    """Load interactions and items of the user's own; `others` are all users of theirs without a role."""
    tables_read = own_tables.load(RAW, config.domains, config.source.untitled, config.rejects)
    sample = sample_own_users(config.seed, tables_read, config.domains, config.users)
    others = sample.others if config.train_on == "all_reviews" else sample.others.clear()
    return _with_drawn_candidates(config, sample.roles, sample, others, CategoryTeacher(sample.items, config.domains))


def load_kitrec(config: SourceConfig) -> SourceData:
    """Load KitREC's own files, from raw/ or from the hub, with the outputs they contain."""
    source, share, count = config.source, config.users.development_share, config.candidates.count
    files = (
        kitrec_hub.fetch(source.hub.owner, source.hub.revisions)
        if source.kind == "hub"
        else kitrec_dataset.find_files(RAW)
    )
    data = kitrec_dataset.load_dataset(
        files, config.seed, share, count, config.rejects, quiet=config.quiet, limit=source.limit
    )
    others = tables.from_rows([], SPLIT_INTERACTIONS)
    counts: dict[str, object] = {"deviations": data.deviations}
    interactions = data.interactions()
    return SourceData(
        data.items, data.dataset, interactions, others, counts, own_output_pair, deviations=data.deviations
    )


def _with_drawn_candidates(
    config: SourceConfig,
    roles: UserGroups,
    data: SyntheticWorld | amazon2023.AmazonSample | OwnSample,
    others: pl.DataFrame,
    teacher: Teacher,
) -> SourceData:
    """Build both candidate sets of a source that has none of its own."""
    share, items, interactions = config.users.development_share, data.items, data.interactions
    others = mark_last_target_items(others, config.domains.source)
    pairs_of_tables = (
        {"removed": data.removed, "history_of_others": others.filter(~pl.col("held_out")).select("user_id", "item_id")}
        if isinstance(data, OwnSample)
        else {}
    )
    dataset = build_dataset(
        config.seed,
        config.domains,
        roles,
        share,
        config.candidates,
        items,
        interactions,
        SETS,
        **pairs_of_tables,
        quiet=config.quiet,
    )
    if isinstance(data, OwnSample) and config.train_on == "all_reviews":
        lost = cut_from_training(interactions, data.removed, dataset.interactions["train"]["user_id"])
        others = pl.concat([others, lost.select(others.columns)])
    world, counts = (data, {}) if isinstance(data, SyntheticWorld) else (None, data.counts)
    explained = add_outputs(config.source.rationales, teacher, dataset, items, config.seed, quiet=config.quiet)
    deviations, counts = data.cut_warnings() if isinstance(data, OwnSample) else [], {**counts, **explained.metrics}
    return SourceData(items, explained.dataset, interactions, others, counts, explained.pair_outputs, world, deviations)
