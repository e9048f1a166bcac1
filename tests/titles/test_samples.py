"""Training samples: what is shown, what is asked for."""

import numpy as np
import pytest

from kitrec.core.errors import InputError
from kitrec.llm.likelihood.shared_prefix import batches
from kitrec.recommenders.data.sequences import Sequences
from kitrec.titles.params import History
from kitrec.titles.samples import Passes, draw_samples, item_shares, newest_histories, samples_among

# Items from 10 on belong to the target domain. Three users: books and films mixed, one book, films alone.
SEQUENCES = Sequences(np.array([1, 2, 11, 3, 12, 4, 13, 14, 15]), np.array([0, 5, 7, 9]))
IS_TARGET = np.arange(20) >= 10


def shown(source_only: float, items: int = 3) -> History:
    return History(items=items, title_tokens=8, source_only=source_only)


def all_samples(source_only: float) -> set[tuple[int, tuple[int, ...]]]:
    found = set()
    for seed in range(40):
        samples = draw_samples(SEQUENCES, IS_TARGET, shown(source_only), np.random.default_rng(seed))
        found |= {(int(item), tuple(history)) for item, history in zip(samples.items, samples.histories, strict=True)}
    return found


def test_with_all_items_shown_every_target_item_behind_another_item_is_asked_for():
    assert all_samples(0.0) == {(11, (0, 1, 2)), (12, (2, 11, 3)), (13, (0, 0, 4)), (15, (0, 0, 14))}


def test_with_books_alone_no_target_item_is_shown_and_users_without_books_teach_nothing():
    assert all_samples(1.0) == {(11, (0, 1, 2)), (12, (1, 2, 3)), (13, (0, 0, 4))}


def test_each_user_gives_one_sample_of_a_pass():
    for seed in range(10):
        samples = draw_samples(SEQUENCES, IS_TARGET, shown(0.0), np.random.default_rng(seed))
        assert len(samples) == 3


def test_a_pass_shows_every_sample_once_and_the_next_draws_anew():
    passes = Passes(SEQUENCES, IS_TARGET, shown(0.0), 2, 7, ("test",))
    first, second, third = (sorted(passes.batch(number).items.tolist()) for number in range(3))
    assert {*first, *second} > {13} and len({*first, *second}) == 3  # three samples in two batches, one of them twice
    again = Passes(SEQUENCES, IS_TARGET, shown(0.0), 2, 7, ("test",))
    assert sorted(again.batch(2).items.tolist()) == third  # whatever was drawn before
    others = [Passes(SEQUENCES, IS_TARGET, shown(0.0), 3, seed, ("test",)).batch(0) for seed in range(20)]
    assert len({tuple(samples.items.tolist()) for samples in others}) > 3


@pytest.mark.parametrize(
    ("read", "expected"),
    [
        ([1, 3, 12, 4, 13], {(12, (0, 1, 3)), (13, (0, 0, 4))}),  # items that are not read were never taken
        ([11, 12, 15], {(12, (0, 0, 11))}),
        ([2, 14], set()),
    ],
)
def test_everybody_who_took_what_is_read_gives_a_sample(read: list[int], expected: set):
    drawn = samples_among(SEQUENCES, np.array(read), IS_TARGET, shown(0.0), np.random.default_rng(0))
    pairs = zip(drawn.items.tolist(), drawn.histories.tolist(), strict=True)
    assert {(item, tuple(history)) for item, history in pairs} == expected


def test_users_without_a_sample_are_an_error_that_names_the_way_out():
    films = Sequences(np.array([14, 15]), np.array([0, 2]))
    with pytest.raises(InputError, match=r"take more users \(users.train\), or set history.source_only to 0"):
        Passes(films, IS_TARGET, shown(1.0), 2, 7, ("test",)).batch(0)


@pytest.mark.parametrize(
    ("lengths", "expected"), [([3, 9, 1, 4], [[1], [3, 0], [2]]), ([12, 1, 1], [[0], [1, 2]]), ([], [])]
)
def test_batches_hold_so_many_padded_tokens_or_one_text(lengths, expected):
    assert batches(lengths, 8) == expected


@pytest.mark.parametrize(("count", "expected"), [(1, [[12], [13], [15]]), (3, [[11, 3, 12], [0, 4, 13], [0, 14, 15]])])
def test_the_newest_items_stand_on_the_right(count, expected):
    assert newest_histories(SEQUENCES, count).tolist() == expected


def test_shares_count_target_items_alone_with_half_a_count_more_for_each():
    shares = item_shares(Sequences(np.array([1, 11, 11, 12]), np.array([0, 4])), np.arange(13) >= 10)
    assert shares[:10].sum() == 0
    assert shares[10:] == pytest.approx(np.array([0.5, 2.5, 1.5]) / 4.5)
