from kitrec.core.randomness import derived_seed, generator


def test_a_purpose_has_an_independent_stream():
    first = generator(1, "candidates", "A", "u1").random(5)
    generator(1, "candidates", "A", "u2").random(100)
    assert (generator(1, "candidates", "A", "u1").random(5) == first).all()


def test_the_stream_depends_on_the_seed_and_every_part_of_the_purpose():
    draws = {
        tuple(generator(*key).random(3)) for key in [(1, "a", 2), (2, "a", 2), (1, "b", 2), (1, "a", 3), (1, "a2")]
    }
    assert len(draws) == 5


def test_derived_seeds_are_distinct_31_bit_integers():
    seeds = [derived_seed(3, "worlds", k) for k in range(1000)]
    assert len(set(seeds)) == 1000 and all(0 <= s < 2**31 for s in seeds)
