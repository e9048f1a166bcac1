"""Vocabulary of the synthetic worlds, and the hidden cross-domain map from themes to words.

Every theme has one word in each domain, and no word serves two themes: theme k is `words["books"][k]` in a book and
`words["movies"][k]` in a film, so text alone never links the two. Ordinary English words keep the tiny base's
vocabulary small."""

import numpy as np

from kitrec.core.domains import KITREC
from kitrec.core.errors import InputError

ThemeWords = dict[str, list[str]]

# Names of themes; which word names which theme in which domain is drawn for every world.
THEME_WORDS = """
    harbor lantern orchard glacier saffron compass anvil meadow raven copper violin temple marsh canyon velvet
    ember falcon granite willow cipher beacon tundra walnut mirror cavern thistle pepper bridge comet garden
    hammer island jasper kettle ladder magnet needle oyster parade quarry ribbon saddle tunnel umbrella valley
    wagon yarrow zephyr acorn basil candle desert engine forest guitar helmet indigo jungle kernel lagoon marble
    nectar opal pigeon quartz rocket spruce timber urchin vessel walrus yacht amber bamboo cactus dagger easel
    fossil gravel hazel ivory jacket keeper linen mosaic nugget onyx pebble quilter rapids silk thunder unicorn
    vapor wheat yeast zenith arrow badger cedar dragon elbow ferry goblin heron iris jewel knight lemon monsoon
    nutmeg otter plaza queen reef sphinx tiger utopia viper whale xenon yogurt zodiac almond bishop cobalt
    dolphin emerald fennel gazelle hornet icicle jaguar koala lotus maple nomad oasis panda quiver rainbow
    salmon tulip upland vortex waffle ginger pearl cliff meteor barrel castle delta eclipse flute geyser hollow
    inlet jade kimono locket mango nebula orbit prairie raft shadow trench viola winter anchor bonfire crystal
    dune estuary fountain grotto hearth igloo juniper kayak lilac mantle nest olive pasture robin summit torch
    vine wharf apricot blossom cricket dahlia elm fjord gale hedge ink jetty kelp lynx moss nova oar pine reed
    sage tern vault wren aster birch clover daisy eagle flint gull hawk isle jay kiln loom
""".split()

# A title is an adjective and a noun, independent of the themes.
ADJECTIVES = """
    silver quiet broken golden hidden distant gentle crimson frozen ancient bitter bright burning careless
    clever cold crooked daring early eastern empty endless fading faithful fallen fearless fierce final foreign
    fragile frantic giddy graceful grand gray guilty happy harsh heavy honest humble hungry idle infinite inner
    jealous jolly kindly lasting late lazy lonely lost loud loyal lucky merry midnight mighty modern narrow
    native noble northern odd open painted pale patient perfect plain proud pure rapid rare restless rising
    rough royal rustic sacred sandy secret severe shining simple sleepy slow solemn southern stubborn subtle
    sudden sweet swift tender tiny tired twisted uneven
""".split()

NOUNS = """
    answer ballad bargain battle border bottle brother captain carnival chapter circle city corner courage
    cousin crown dance daughter debt doctor door dream empire errand evening exile family father feast fever
    field fire flag flight fortune friend future game ghost gift glass harvest heart hero highway hour house
    hunter journey judge key king lake language lesson letter level light line lion magic map market mask memory
    mercy message miller minute mission moment mother mountain music mystery name neighbor night number oath
    ocean office palace paper passage path pilot pirate place planet player poet prince promise puzzle question
    rain reason refuge return
""".split()

# Descriptions consist of mood words only.
MOODS = """
    slow calm tense funny sad warm dark light odd brave dry rich short long clear plain sharp soft deep wry
""".split()


def draw_themes(rng: np.random.Generator, themes: int, *, rehearsal: bool) -> ThemeWords:
    """Draw `themes` distinct words per domain; in a rehearsal world all domains share the same words."""
    if rehearsal:
        shared = [word.capitalize() for word in rng.permutation(THEME_WORDS)[:themes].tolist()]
        return dict.fromkeys(KITREC.names, shared)
    need = themes * len(KITREC.names)
    if need > len(THEME_WORDS):
        raise InputError(f"world.themes: {themes} needs {need} theme words, there are {len(THEME_WORDS)}; lower it")
    drawn = iter(rng.permutation(THEME_WORDS)[:need].tolist())
    return {domain: [next(drawn).capitalize() for _ in range(themes)] for domain in KITREC.names}
