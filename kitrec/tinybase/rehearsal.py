"""What the tiny base is pre-trained on: worlds of other seeds in which every domain speaks the same words.

There a theme of the history is found among the candidates by its very word: the base learns to match and to answer in
KitREC's format, and can know nothing of a cross-domain map. Titles are disjoint from those of all other worlds."""

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from kitrec.core.randomness import derived_seed
from kitrec.preprocessing.dataset import build_dataset
from kitrec.preprocessing.params import Candidates, Users
from kitrec.preprocessing.users import classify, sample_roles
from kitrec.prompts.template import Item, Style, segments
from kitrec.synthetic.build import SyntheticWorld, build_world
from kitrec.synthetic.teacher import TemplateTeacher
from kitrec.tinybase.params import TinyBase

Sample = tuple[str, str, bool]


def rehearsal_world(seed: int, number: int, p: TinyBase) -> SyntheticWorld:
    """The `number`-th rehearsal world."""
    return build_world(_own_seed(seed, number), p.world, p.users_per_type, rehearsal=True)


def rehearsal_records(seed: int, number: int, p: TinyBase, world: SyntheticWorld, candidates: int) -> pl.DataFrame:
    """The records of the world's users, with random lists of `candidates` items."""
    users = Users(train=p.users_per_type - 1, preference=0, test=1, development_share=0.05)
    lists = Candidates(count=candidates, same_category=0, neighbours=0, popularity_matched=0)
    own = _own_seed(seed, number)
    roles = sample_roles(own, classify(world.interactions), users)
    built = build_dataset(own, roles, users.development_share, lists, world.items, world.interactions, ("B",))
    return built.records["B"]["train"]


def rehearsal_samples(seed: int, number: int, p: TinyBase, world: SyntheticWorld, candidates: int) -> Iterator[Sample]:
    """(prompt, output, thinking) of every clear record, thinking and direct in turn."""
    records = rehearsal_records(seed, number, p, world, candidates)
    items = {row["item_id"]: row for row in world.items.iter_rows(named=True)}
    teacher = TemplateTeacher(world.themes, world.items)
    clear = [record for record in records.iter_rows(named=True) if _is_clear(record, items, teacher)]
    for k, record in enumerate(clear):
        thinking = k % 2 == 0
        style = Style(thinking=thinking, answer_items=1, summaries=True)
        yield segments(record, items, style).text(), teacher.explain(record), thinking


def _is_clear(record: Mapping[str, Any], items: Mapping[str, Item], teacher: TemplateTeacher) -> bool:
    """Whether no other candidate shares as many of the reader's themes as the truth: ties teach to mix answers."""
    liked = {*teacher.liked(record)}
    common = {item: len(liked & {*teacher.themes_of(items[item])}) for item in record["candidate_ids"]}
    truth = common.pop(record["gt_item_id"])
    return truth > max(common.values())


def _own_seed(seed: int, number: int) -> int:
    return derived_seed(seed, "rehearsal", number)
