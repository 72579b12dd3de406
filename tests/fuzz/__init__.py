"""Random cases, checked against what must hold of every one.

``make fuzz`` runs thousands and takes minutes; the suite runs a short version of each test. A test
is a function of one random generator, given to the fixture ``fuzz``::

    def test_addition_commutes(fuzz):
        def case(rng):
            a, b = rng.normal(size=2)
            assert a + b == b + a
            return abs((a + b) - math.fsum([a, b]))  # an error, if there is one to report

        fuzz(case, short=20, full=500)

A case that raises is a failure. The others go on, and the summary at the end counts them and names
the worst error, each with its seed. Two variables of the environment choose the cases:

- ``FUZZ_CASES``: ``full``, or a number; without it the short version runs.
- ``FUZZ_SEED``: the seed of the first case, by default 0. The i-th case has this seed plus i, so
  that ``FUZZ_SEED=417 FUZZ_CASES=1`` runs the case of seed 417 alone.
"""
