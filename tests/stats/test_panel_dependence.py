import numpy as np
import pytest

from app.stats.errors import InsufficientData, NotIdentified
from app.stats.panel_dependence import effective_judges
from app.stats.repeats import retest_reliability


def judged(rng, *, n=400, shared=0.0, judges=4, grades=2):
    """Judges whose errors correlate by `shared`, with noisy people beside them."""
    theta = rng.normal(0, 1, n)
    common = rng.normal(0, 1, n)
    own = rng.normal(0, 1, (n, judges))
    values = 0.8 * theta[:, None] + np.sqrt(shared) * common[:, None] + np.sqrt(1 - shared) * own
    given = theta[:, None] + rng.normal(0, 0.8, (n, grades))
    mean = given.mean(axis=1)
    return values, mean, np.full(n, float(grades)), ((given - mean[:, None]) ** 2).sum(axis=1)


@pytest.mark.parametrize(("shared", "truth"), [(0.3, 3 / 1.6), (0.6, 3 / 2.2)])
def test_shared_errors_shrink_a_panel_to_what_kish_says(shared, truth):
    rng = np.random.default_rng(1)
    found = []
    for _ in range(100):
        values, human, grades, within = judged(rng, shared=shared)
        found.append(
            effective_judges(
                values=values, human=human, grades=grades, within=within, prompt=np.arange(400), panel=3
            )
        )
    assert np.median([e.estimate for e in found]) == pytest.approx(truth, rel=0.05)
    assert np.mean([e.low <= truth <= e.high for e in found]) >= 0.88  # nominal .95, Monte Carlo error 2.2


def test_independent_judges_count_nearly_in_full_in_spite_of_noisy_people():
    values, human, grades, within = judged(np.random.default_rng(2), n=4000)
    got = effective_judges(
        values=values, human=human, grades=grades, within=within, prompt=np.arange(4000), panel=3
    )
    assert got.estimate > 2.8


def test_single_graded_anchors_do_not_identify_shared_errors():
    values, human, grades, within = judged(np.random.default_rng(3), grades=1)
    with pytest.raises(NotIdentified):
        effective_judges(
            values=values, human=human, grades=grades, within=within, prompt=np.arange(400), panel=3
        )


def test_judges_that_never_meet_are_too_little_data():
    values, human, grades, within = judged(np.random.default_rng(4), judges=2)
    values[:200, 0] = np.nan
    values[200:, 1] = np.nan
    with pytest.raises(InsufficientData):
        effective_judges(
            values=values, human=human, grades=grades, within=within, prompt=np.arange(400), panel=3
        )


def test_a_judge_that_repeats_itself_is_reliable_and_a_noisy_one_by_its_share_of_signal():
    rng = np.random.default_rng(5)
    question = np.repeat(np.arange(300), 2)
    signal = rng.normal(0, 1, 300)[question]
    same = retest_reliability(value=signal, question=question, prompt=question)
    noisy = retest_reliability(value=signal + rng.normal(0, 1, 600), question=question, prompt=question)
    assert same.estimate == pytest.approx(1)
    assert noisy.low <= 0.5 <= noisy.high


def test_questions_asked_once_tell_no_reliability():
    with pytest.raises(InsufficientData):
        retest_reliability(value=np.arange(50.0), question=np.arange(50), prompt=np.arange(50))
