from benchmarks.rankings import WORLDS, study


def test_intervals_of_strengths_hold_in_a_few_worlds():
    world = next(one for one in WORLDS if one.name == "all pairs of four systems")
    found = study(world, 60, seed=3)
    assert found.answered == 1.0
    assert found.strengths > 0.9  # of 240 intervals, clustered four by four: 0.95 less three standard errors
    assert found.ranks > 0.9
    assert found.width < 0.9
