"""Linking two sets of anchors: the identity, planted changes found where they are, intervals that hold."""

from dataclasses import replace

import numpy as np
import pytest

from app.stats.anchor_linking import AnchorLink, LinkRefusal, Measured, link_anchors


def world(
    rng: np.random.Generator,
    *,
    anchors: int = 100,
    rotated: int = 10,
    drift: float = 0.0,
    lenient: float = 0.0,
    regraded: bool = False,
    traffic: int = 800,
) -> tuple[Measured, Measured]:
    """Answers in prompts of two, judged and partly graded; a rotation of some anchors, with planted changes.

    ``drift`` is added to the quality of the answers that are new after the rotation, and to what judges see;
    ``lenient`` to what people say of new anchors.
    """
    units = np.arange(2 * traffic)
    prompt = units // 2
    quality = 0.6 + 0.1 * rng.standard_normal(traffic)[prompt] + 0.12 * rng.standard_normal(2 * traffic)
    panel = 0.2 + 0.6 * quality + 0.05 * rng.standard_normal(2 * traffic)
    human = quality + 0.1 * rng.standard_normal(2 * traffic)
    first, second = units[:traffic], units[traffic:]
    graded = rng.choice(first[::2], anchors, replace=False)
    kept = graded[rotated:]
    new = rng.choice(second[::2], rotated, replace=False)

    def at(some: np.ndarray, said: np.ndarray, extra: float, more: np.ndarray) -> Measured:
        seen = panel[some] + extra * more
        grades = np.full(some.size, np.nan)
        place = np.searchsorted(some, said)
        grades[place] = human[said] + extra * more[place]
        return Measured(some, prompt[some], seen, grades, np.ones(some.size))

    before = at(first, np.sort(graded), 0.0, np.zeros(traffic))
    after = at(units, np.sort(np.r_[kept, new]), drift, (units >= traffic).astype(float))
    after.human[new] += lenient
    if regraded:
        after.human[kept] += 0.03 * rng.standard_normal(kept.size)
    return before, after


def parts(link: AnchorLink) -> tuple[float, float, float]:
    assert link.total is not None
    assert link.overlap is not None
    assert link.anchors is not None
    return link.total.estimate, link.overlap.estimate, link.anchors.estimate


def test_the_parts_are_the_difference_of_plain_rectified_means():
    before, after = world(np.random.default_rng(1), regraded=True)
    link = link_anchors(before, after)
    total, overlap, anchors = parts(link)

    def theta(one: Measured, some: np.ndarray) -> float:
        return float(one.panel.mean() + (one.human - one.panel)[some].mean())

    graded = [np.isfinite(one.human) for one in (before, after)]
    both = np.intersect1d(before.unit[graded[0]], after.unit[graded[1]])
    common = [np.isin(one.unit, both) for one in (before, after)]
    assert total == pytest.approx(theta(after, graded[1]) - theta(before, graded[0]), abs=1e-12)
    assert overlap == pytest.approx(theta(after, common[1]) - theta(before, common[0]), abs=1e-12)
    assert total == pytest.approx(overlap + anchors, abs=1e-12)
    assert (link.n_overlap, link.n_new, link.n_retired) == (90, 10, 10)


@pytest.mark.parametrize(
    "planted, overlap, anchors",
    [
        ({}, 0.0, 0.0),
        ({"drift": 0.2}, 0.1, 0.0),  # half of the answers are new, and better by 0.2
        ({"lenient": 0.3}, 0.0, 0.03),  # a tenth of the anchors is new, and praised by 0.3
        ({"drift": -0.1, "lenient": 0.3, "regraded": True}, -0.05, 0.03),
        ({"rotated": 5, "lenient": 0.4}, 0.0, 0.02),
    ],
    ids=["nothing", "drift", "lenient graders", "both", "five anchors"],
)
def test_planted_changes_are_found_where_they_are_and_intervals_hold(planted, overlap, anchors):
    rng = np.random.default_rng(7)
    found, inside, errors = [], [], []
    for _ in range(400):
        link = link_anchors(*world(rng, **planted))
        found.append(parts(link))
        truth = (overlap + anchors, overlap, anchors)
        linked = (link.total, link.overlap, link.anchors)
        errors.append([one.standard_error for one in linked])
        ends = [one.interval(0.95) for one in linked]
        inside.append([low <= t <= high for (low, high), t in zip(ends, truth, strict=True)])
    mean, spread = np.mean(found, axis=0), np.std(found, axis=0)
    # Four standard errors of a mean of 400, of a share of 400, and of a standard deviation of 400.
    assert mean == pytest.approx((overlap + anchors, overlap, anchors), abs=4 * spread.max() / 20)
    assert np.all(np.mean(inside, axis=0) >= 0.95 - 4 * np.sqrt(0.95 * 0.05 / 400))
    assert np.all(np.mean(inside, axis=0) <= 0.99)
    assert np.sqrt(np.mean(np.square(errors), axis=0)) == pytest.approx(spread, rel=0.15)


def test_the_same_twice_is_no_change_at_all():
    before, _ = world(np.random.default_rng(2))
    link = link_anchors(before, before)
    assert parts(link) == (0, 0, 0)
    assert link.total is not None
    assert link.total.standard_error == pytest.approx(0, abs=1e-12)


def test_chances_of_being_drawn_undo_what_they_favoured():
    rng = np.random.default_rng(3)
    found = []
    for _ in range(200):
        before, after = world(rng, rotated=0, anchors=60)
        residual = after.human - after.panel
        fresh = np.arange(1000, 1600)
        human = 0.2 + after.panel[fresh] * 1.2 + 0.05 * rng.standard_normal(600)
        chance = np.where(human > np.median(human), 0.12, 0.03)
        drawn = rng.random(600) < chance
        grades, weight = after.human.copy(), np.full(after.unit.size, 10.0)
        grades[fresh[drawn]], weight[fresh[drawn]] = human[drawn], 1 / chance[drawn]
        all_graded = after.human.copy()
        all_graded[fresh] = human
        wanted = link_anchors(before, replace(after, human=all_graded))
        link = link_anchors(before, replace(after, human=grades, weight=weight))
        share = weight[fresh[drawn]].sum() / weight[np.isfinite(grades)].sum()
        whole = 600 / (600 + np.isfinite(residual).sum())
        assert link.anchors is not None
        assert wanted.anchors is not None
        found.append(link.anchors.estimate / share - wanted.anchors.estimate / whole)
    assert abs(np.mean(found)) < 4 * np.std(found) / np.sqrt(len(found)) + 0.002


@pytest.mark.parametrize(
    "anchors, rotated, refusal, stands",
    [
        (15, 8, LinkRefusal.INSUFFICIENT_OVERLAP, (False, False, False)),
        (40, 2, LinkRefusal.INSUFFICIENT_NEW, (True, False, False)),
        (40, 0, None, (True, True, True)),
    ],
)
def test_too_little_is_refused_by_name(anchors, rotated, refusal, stands):
    link = link_anchors(*world(np.random.default_rng(4), anchors=anchors, rotated=rotated))
    assert link.refusal is refusal
    assert tuple(one is not None for one in (link.total, link.overlap, link.anchors)) == stands
