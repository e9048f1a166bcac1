"""What the tiny base is pre-trained on: worlds of other seeds in which every domain speaks the same words.

There a theme of the history is found among the candidates by its very word: the base learns to match and to answer in
KitREC's format, and can know nothing of a cross-domain map. Titles are disjoint from those of all other worlds."""

from collections.abc import Iterator

from kitrec.prep.dataset import build_dataset
from kitrec.prep.params import Candidates, Users
from kitrec.prompts.template import Style, segments
from kitrec.prompts.tokens import Encoder, Turn
from kitrec.randomness import derived_seed
from kitrec.tinybase.params import TinyBase
from kitrec.world.build import build_world
from kitrec.world.teacher import TemplateTeacher, with_outputs


def rehearsal_samples(seed: int, number: int, p: TinyBase) -> Iterator[tuple[str, str, bool]]:
    """(prompt, output, thinking) of every user of the `number`-th rehearsal world, Set B candidates."""
    own_seed = derived_seed(seed, "rehearsal", number)
    built = build_world(own_seed, p.world, p.users_per_type, rehearsal=True)
    users = Users(train=p.users_per_type - 1, preference=0, test=1, development_share=0.1)
    candidates = Candidates(count=p.candidates, same_category=0, neighbours=0, popularity_matched=0)
    records = build_dataset(own_seed, users, candidates, built.items, built.interactions, ("B",)).records["B"]["train"]
    items = {row["item_id"]: row for row in built.items.iter_rows(named=True)}
    for k, record in enumerate(with_outputs(records, TemplateTeacher(built)).iter_rows(named=True)):
        thinking = k % 2 == 0
        style = Style(thinking=thinking, answer_items=1, summaries=True)
        yield segments(record, items, style).text(), record["output"], thinking


def rehearsal_turns(seed: int, number: int, p: TinyBase, encoder: Encoder) -> list[Turn]:
    """The same in token ids."""
    return [
        Turn(encoder.prompt(prompt, thinking=thinking), encoder.answer(output, thinking=thinking))
        for prompt, output, thinking in rehearsal_samples(seed, number, p)
    ]
