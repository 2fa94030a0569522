import numpy as np
import pytest

from app.stats.agreement import agreement_with_people, match_grades
from app.stats.errors import InsufficientData
from app.stats.version_change import agreement_change, level_change


def matched(judge, grade, unit=None):
    n = len(judge)
    unit = np.arange(n) if unit is None else unit
    return match_grades(
        judge=judge, unit=unit, grade=grade, graded_unit=np.arange(len(grade)), prompt=unit // 2
    )


def test_a_planted_shift_on_the_same_answers_is_covered():
    rng = np.random.default_rng(1)
    covered = []
    for _ in range(150):
        quality, prompt = rng.normal(0.5, 0.3, 200), np.repeat(np.arange(50), 4)
        moved = rng.normal(0, 0.05, 50)[prompt]  # some prompts change more than others
        old = quality + rng.normal(0, 0.1, 200)
        effect = level_change(old=old, new=quality + 0.07 + moved + rng.normal(0, 0.1, 200), prompt=prompt)
        covered.append(effect.low <= 0.07 <= effect.high)
    assert np.mean(covered) >= 0.9  # nominal .95, Monte Carlo error 1.8 points


def test_the_change_of_agreement_is_the_difference_of_the_two_agreements():
    rng = np.random.default_rng(2)
    grade = rng.normal(0.5, 0.2, 120)
    old, new = grade + rng.normal(0, 0.1, 120), grade + rng.normal(0, 0.25, 120)
    change = agreement_change(old=matched(old, grade), new=matched(new, grade), nominal=False)
    alphas = [
        agreement_with_people(
            judge=judge, unit=np.arange(120), grade=grade, graded_unit=np.arange(120), prompt=np.arange(120)
        ).estimate
        for judge in (old, new)
    ]
    assert change.estimate == pytest.approx(alphas[1] - alphas[0])
    assert change.high < 0


def test_only_answers_that_both_versions_judged_count():
    rng = np.random.default_rng(3)
    grade = np.sign(rng.normal(0, 1, 200))
    right = np.where(rng.random(200) < 0.8, grade, -grade)
    # the newer version judged half of them, and the same there
    change = agreement_change(
        old=matched(right, grade), new=matched(right[:100], grade, np.arange(100)), nominal=True
    )
    assert change.estimate == 0
    assert change.n == 100


def test_ties_of_one_version_alone_do_no_harm():
    grade = np.tile([1.0, -1.0], 60)
    change = agreement_change(
        old=matched(grade, grade), new=matched(np.where(np.arange(120) < 60, 0.0, grade), grade), nominal=True
    )
    assert change.estimate == pytest.approx(-0.5)


def test_two_versions_that_never_met_cannot_be_compared():
    grade = np.ones(100)
    one, two = matched(grade[:50], grade, np.arange(50)), matched(grade[:50], grade, np.arange(50, 100))
    with pytest.raises(InsufficientData, match="both versions"):
        agreement_change(old=one, new=two, nominal=True)
