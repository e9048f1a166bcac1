"""The arithmetic of the effect, worked out by hand."""

import polars as pl
import pytest

from bench.effect import paired, target_words


@pytest.mark.parametrize(
    ("wins", "losses", "p"),
    [(8, 0, 2 / 2**8), (0, 8, 2 / 2**8), (3, 1, 2 * (1 + 4) / 2**4), (2, 2, 1.0), (0, 0, 1.0)],
)
def test_mcnemars_p_counts_only_users_where_the_methods_differ(wins, losses, p):
    first = pl.Series([1.0] * wins + [0.0] * losses + [1.0, 0.0] * 20)
    second = pl.Series([0.0] * wins + [1.0] * losses + [1.0, 0.0] * 20)
    assert paired(first, second) == pytest.approx(p)


def test_target_words_are_those_of_the_targets_line_each_once():
    thought = (
        "<think>\nBooks themes: Reef, Ink\nMovies & TV themes: Opal, Jet, Opal -> (ID: X) A B | Opal, Jet\n</think>"
    )
    assert target_words(thought, "movies") == ["Opal", "Jet"]
    assert target_words(thought, "music") == [] and target_words("", "movies") == []
    assert target_words("Music themes: Ale, Rye\n</think>", "music") == ["Ale", "Rye"]
