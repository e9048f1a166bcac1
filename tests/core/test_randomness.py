from kitrec.core.randomness import derived_seed, generator


def test_a_purpose_has_its_own_stream_whatever_was_drawn_before():
    first = generator(1, "candidates", "A", "u1").random(5)
    generator(1, "candidates", "A", "u2").random(100)
    assert (generator(1, "candidates", "A", "u1").random(5) == first).all()


def test_seed_and_every_part_of_the_purpose_matter():
    draws = {
        tuple(generator(*key).random(3)) for key in [(1, "a", 2), (2, "a", 2), (1, "b", 2), (1, "a", 3), (1, "a2")]
    }
    assert len(draws) == 5


def test_derived_seeds_fit_libraries_that_want_31_bits():
    seeds = [derived_seed(3, "worlds", k) for k in range(1000)]
    assert len(set(seeds)) == 1000 and all(0 <= s < 2**31 for s in seeds)
