"""Rehearsal worlds, the pre-training data of the tiny base: worlds of other seeds whose domains share one vocabulary.

A theme of the history has the same word among the candidates: the base learns to match and to answer in KitREC's
format, but nothing about a cross-domain map. Titles are disjoint from those of all other worlds."""

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from kitrec.core.domains import KITREC
from kitrec.core.randomness import derived_seed
from kitrec.preprocessing.dataset import build_dataset
from kitrec.preprocessing.params import Candidates, Users
from kitrec.preprocessing.users import classify, sample_roles
from kitrec.prompts.shown_items import Item
from kitrec.prompts.template import Style, segments
from kitrec.synthetic.build import SyntheticWorld, build_world
from kitrec.synthetic.teacher import TemplateTeacher
from kitrec.tinybase.params import TinyBase

Sample = tuple[str, str, bool]
MIN_BOOKS = 5  # every user of a rehearsal world has as many


def rehearsal_world(seed: int, number: int, p: TinyBase) -> SyntheticWorld:
    """Return the `number`-th rehearsal world."""
    return build_world(_world_seed(seed, number), p.world, p.users_per_type, rehearsal=True)


def rehearsal_records(seed: int, number: int, p: TinyBase, world: SyntheticWorld, candidates: int) -> pl.DataFrame:
    """Return the records of the world's users, with random lists of `candidates` items."""
    sizes = {"train": p.users_per_type - 1, "preference": 0, "test": 1}
    users = Users(**sizes, development_share=0.05, min_source_items=MIN_BOOKS, cut=False)
    lists = Candidates(count=candidates, same_category=0, neighbours=0, popularity_matched=0)
    world_seed = _world_seed(seed, number)
    roles = sample_roles(world_seed, classify(world.interactions, KITREC, MIN_BOOKS), users)
    share, tables = users.development_share, (world.items, world.interactions)
    dataset = build_dataset(world_seed, KITREC, roles, share, lists, *tables, ("B",))
    return dataset.records["B"]["train"]


def rehearsal_samples(seed: int, number: int, p: TinyBase, world: SyntheticWorld, candidates: int) -> Iterator[Sample]:
    """Yield (prompt, output, thinking) of every unambiguous record, with and without thinking in turn."""
    records = rehearsal_records(seed, number, p, world, candidates)
    items = {row["item_id"]: row for row in world.items.iter_rows(named=True)}
    teacher = TemplateTeacher(world.themes, world.items)
    unambiguous = [record for record in records.iter_rows(named=True) if _is_unambiguous(record, items, teacher)]
    for k, record in enumerate(unambiguous):
        thinking = k % 2 == 0
        style = Style(thinking=thinking, answer_items=1, summaries=True)
        yield segments(record, items, style).text(), teacher.explain(record), thinking


def _is_unambiguous(record: Mapping[str, Any], items: Mapping[str, Item], teacher: TemplateTeacher) -> bool:
    """Return whether the ground truth alone shares the most themes with the history: ties lead to mixed answers."""
    themes = {*teacher.frequent_themes(record)}
    common = {item: len(themes & {*teacher.themes_of(items[item])}) for item in record["candidate_ids"]}
    ground_truth = common.pop(record["gt_item_id"])
    return ground_truth > max(common.values())


def _world_seed(seed: int, number: int) -> int:
    return derived_seed(seed, "rehearsal", number)
