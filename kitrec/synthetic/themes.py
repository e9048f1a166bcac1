"""The hidden cross-domain map: every theme has one word in each domain, and no word serves two themes.

Theme k is `words["books"][k]` in a book and `words["movies"][k]` in a film: text alone never links the two."""

import numpy as np

from kitrec.core.domains import LABELS
from kitrec.core.errors import InputError
from kitrec.synthetic.words import THEME_WORDS

ThemeWords = dict[str, list[str]]


def draw_themes(rng: np.random.Generator, themes: int, *, rehearsal: bool) -> ThemeWords:
    """A map drawn anew: `themes` words per domain, all different; in a rehearsal world the domains share theirs."""
    if rehearsal:
        shared = [word.capitalize() for word in rng.permutation(THEME_WORDS)[:themes].tolist()]
        return dict.fromkeys(LABELS, shared)
    need = themes * len(LABELS)
    if need > len(THEME_WORDS):
        raise InputError(f"world.themes: {themes} needs {need} theme words, there are {len(THEME_WORDS)}; lower it")
    drawn = iter(rng.permutation(THEME_WORDS)[:need].tolist())
    return {domain: [next(drawn).capitalize() for _ in range(themes)] for domain in LABELS}
