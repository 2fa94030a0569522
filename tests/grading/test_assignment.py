from collections import Counter
from itertools import combinations, pairwise, permutations, product
from math import factorial
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from app.domain.judging import JudgeVersion, PanelRequest, TooFewFamilies
from app.grading.assignment import (
    Exclusions,
    assign,
    balanced_orders,
    draw_replacement,
    eligible_judges,
    mirrored_orders,
    williams_square,
)

# A chi-square test of a right sampler fails with this probability. The seeds are fixed, so it passes or
# fails for good; a sampler that is wrong by a few per cent falls far below with these numbers of draws.
ALPHA = 1e-4

judges = st.builds(
    JudgeVersion,
    family=st.sampled_from("ABCDEF"),
    name=st.text("xyz", min_size=1, max_size=3),
    model=st.sampled_from(["m1", "m2", "m3", "m4"]),
)
rosters = st.sets(judges, min_size=3, max_size=20).filter(lambda r: len({j.family for j in r}) >= 3)
seeds = st.integers(0, 2**53 - 1)


def roster_of(**sizes: int) -> list[JudgeVersion]:
    return [
        JudgeVersion(family=family, name=f"{family}{k}", model=f"{family}-{k}")
        for family, size in sizes.items()
        for k in range(size)
    ]


def uniform(counts: list[int]) -> float:
    return float(chisquare(counts).pvalue)


@given(rosters, seeds, st.integers(1, 3), st.integers(1, 3))
def test_as_many_families_sit_as_asked_and_no_judge_sits_twice(roster, seed, families, per_family):
    eligible = eligible_judges(roster, Exclusions())
    request = PanelRequest(families=families, judges_per_family=per_family)
    seats = assign(eligible, request, 1, seed).seats
    per = Counter(seat.judge.family for seat in seats)
    assert len(per) == families
    assert all(count == min(per_family, len(eligible[family])) for family, count in per.items())
    assert len({seat.judge for seat in seats}) == len(seats)


@given(rosters, seeds, st.integers(1, 6), st.booleans(), st.randoms())
def test_the_rosters_order_does_not_matter_and_the_seed_replays_the_panel(
    roster, seed, answers, both_orders, shuffler
):
    request = PanelRequest(judges_per_family=2, both_orders=both_orders)
    shuffled = list(roster)
    shuffler.shuffle(shuffled)
    first = assign(eligible_judges(roster, Exclusions()), request, answers, seed)
    again = assign(eligible_judges(shuffled, Exclusions()), request, answers, seed)
    assert first == again
    assert first.seed == seed


@given(rosters, seeds, st.integers(1, 10))
def test_each_judge_sees_each_answer_once(roster, seed, answers):
    for seat in assign(eligible_judges(roster, Exclusions()), PanelRequest(), answers, seed).seats:
        assert sorted(seat.order) == list(range(answers))


@given(st.integers(1, 10), st.integers(1, 40), st.integers())
def test_each_answer_stands_in_each_place_equally_often_up_to_one(answers, seats, seed):
    orders = balanced_orders(answers, seats, Random(seed))
    assert len(orders) == seats
    for place in range(answers):
        counts = Counter(dict.fromkeys(range(answers), 0))
        counts.update(order[place] for order in orders)
        assert max(counts.values()) - min(counts.values()) <= 1


@given(st.integers(2, 10), st.integers(1, 30), st.integers())
def test_with_both_orders_every_judge_sees_an_order_and_its_reverse_and_firsts_stay_balanced(
    answers, judges, seed
):
    pairs = mirrored_orders(answers, judges, Random(seed))
    assert len(pairs) == judges
    assert all(second == first[::-1] for first, second in pairs)
    counts = Counter(dict.fromkeys(range(answers), 0))
    counts.update(order[0] for pair in pairs for order in pair)
    assert max(counts.values()) - min(counts.values()) <= 1


@given(rosters, seeds)
def test_with_both_orders_the_two_seats_of_a_judge_are_neighbours(roster, seed):
    request = PanelRequest(both_orders=True)
    seats = assign(eligible_judges(roster, Exclusions()), request, 2, seed).seats
    assert len(seats) == 6
    for first, second in zip(seats[0::2], seats[1::2], strict=True):
        assert first.judge == second.judge
        assert first.order == second.order[::-1]


@pytest.mark.parametrize("n", [2, 4, 6, 8, 10])
def test_in_a_square_of_even_size_each_answer_follows_each_other_exactly_once(n):
    follows = Counter(pair for row in williams_square(n) for pair in pairwise(row))
    assert follows == Counter(permutations(range(n), 2))


@pytest.mark.parametrize("n", [3, 5, 7, 9])
def test_in_a_square_of_odd_size_and_its_mirror_each_answer_follows_each_other_twice(n):
    rows = williams_square(n)
    rows = rows + tuple(row[::-1] for row in rows)
    follows = Counter(pair for row in rows for pair in pairwise(row))
    assert follows == Counter(dict.fromkeys(permutations(range(n), 2), 2))


@given(rosters, seeds)
def test_excluded_families_and_models_never_sit(roster, seed):
    families = sorted({judge.family for judge in roster})
    exclusions = Exclusions(frozenset(families[:1]), frozenset({"m1"}))
    eligible = eligible_judges(roster, exclusions)
    if len(eligible) < 2:
        with pytest.raises(TooFewFamilies) as caught:
            assign(eligible, PanelRequest(families=2), 1, seed)
        assert (caught.value.have, caught.value.need) == (len(eligible), 2)
        return
    assignment = assign(eligible, PanelRequest(families=2), 1, seed)
    for seat in assignment.seats:
        assert seat.judge.family != families[0]
        assert seat.judge.model != "m1"
    assert assignment.families_drawn_from == {family: len(judges) for family, judges in eligible.items()}


def every_panel(eligible: dict, families: int, per_family: int) -> list[frozenset[JudgeVersion]]:
    """All panels that the design allows, each as often as its share of the draws."""
    panels = []
    for chosen in combinations(sorted(eligible), families):
        within = [list(combinations(eligible[f], min(per_family, len(eligible[f])))) for f in chosen]
        # families of different sizes: repeat so that each combination of families weighs the same
        weight = 1
        for family in set(eligible) - set(chosen):
            size = len(eligible[family])
            m = min(per_family, size)
            weight *= factorial(size) // (factorial(m) * factorial(size - m))
        panels += [frozenset(j for part in parts for j in part) for parts in product(*within)] * weight
    return panels


@pytest.mark.parametrize("families", [1, 2, 3])
@pytest.mark.parametrize("per_family", [1, 2])
@pytest.mark.parametrize("exclusions", [Exclusions(), Exclusions(frozenset("A")), Exclusions(models={"B-0"})])
def test_stored_probabilities_are_those_of_enumerating_every_panel(families, per_family, exclusions):
    eligible = eligible_judges(roster_of(A=1, B=2, C=3, D=1), exclusions)
    panels = every_panel(eligible, families, per_family)
    request = PanelRequest(families=families, judges_per_family=per_family)
    seen: dict[JudgeVersion, float] = {}
    for seed in range(60):
        for seat in assign(eligible, request, 1, seed).seats:
            seen[seat.judge] = seat.inclusion_probability
    for judge, probability in seen.items():
        share = sum(judge in panel for panel in panels) / len(panels)
        assert probability == pytest.approx(share, abs=1e-12)


def test_probabilities_are_the_shares_of_many_draws():
    eligible = eligible_judges(roster_of(A=1, B=2, C=3, D=4, E=1), Exclusions(frozenset("E")))
    request = PanelRequest(families=3, judges_per_family=2)
    draws = 8000
    counts: Counter[JudgeVersion] = Counter()
    stored: dict[JudgeVersion, float] = {}
    for seed in range(draws):
        for seat in assign(eligible, request, 2, seed).seats:
            counts[seat.judge] += 1
            stored[seat.judge] = seat.inclusion_probability
    assert set(counts) == {judge for judges in eligible.values() for judge in judges}
    for judge, probability in stored.items():
        # five standard errors of a share: ten judges, so a right sampler fails with probability 6e-6
        tolerance = 5 * (probability * (1 - probability) / draws) ** 0.5 + 1e-12
        assert counts[judge] / draws == pytest.approx(probability, abs=tolerance)


def test_families_pairs_of_families_and_judges_within_a_family_are_drawn_uniformly():
    eligible = eligible_judges(roster_of(A=1, B=2, C=3, D=4, E=5), Exclusions())
    single, pairs, first, within = Counter(), Counter(), Counter(), Counter()
    for seed in range(6000):
        seats = assign(eligible, PanelRequest(), 1, seed).seats
        families = [seat.judge.family for seat in seats]
        single.update(families)
        first[families[0]] += 1
        pairs.update(combinations(sorted(families), 2))
        within.update(seat.judge for seat in seats if seat.judge.family == "E")
    assert len(pairs) == 10
    for counts in (single, first, pairs, within):
        assert uniform(list(counts.values())) > ALPHA


@pytest.mark.parametrize("answers", [2, 3, 4])
@pytest.mark.parametrize("both_orders", [False, True])
def test_every_order_is_equally_likely_at_every_seat_and_independent_of_the_judge(answers, both_orders):
    eligible = eligible_judges(roster_of(A=2, B=2, C=2), Exclusions())
    request = PanelRequest(both_orders=both_orders)
    by_seat: dict[int, Counter] = {}
    by_judge: dict[JudgeVersion, Counter] = {}
    for seed in range(8000):
        for seat in assign(eligible, request, answers, seed).seats:
            by_seat.setdefault(seat.position, Counter())[seat.order] += 1
            if seat.position % (1 + both_orders) == 0:  # the second order of a judge follows from the first
                by_judge.setdefault(seat.judge, Counter())[seat.order] += 1
    for counts in (*by_seat.values(), *by_judge.values()):
        assert len(counts) == factorial(answers)
        assert uniform(list(counts.values())) > ALPHA


def test_over_three_seats_of_a_pair_every_split_of_orders_is_equally_likely():
    eligible = eligible_judges(roster_of(A=1, B=1, C=1), Exclusions())
    splits = Counter(
        tuple(seat.order[0] for seat in assign(eligible, PanelRequest(), 2, seed).seats)
        for seed in range(6000)
    )
    assert set(splits) == set(product((0, 1), repeat=3)) - {(0, 0, 0), (1, 1, 1)}
    assert uniform(list(splits.values())) > ALPHA


@settings(max_examples=50)
@given(rosters, seeds)
def test_a_replacement_is_of_the_same_family_sits_nowhere_else_and_keeps_the_order(roster, seed):
    eligible = eligible_judges(roster, Exclusions())
    assignment = assign(eligible, PanelRequest(), 3, seed)
    seated = {seat.judge for seat in assignment.seats}
    failed = assignment.seats[0]
    position = len(assignment.seats)
    candidates = len(eligible[failed.judge.family]) - 1
    while (new := draw_replacement(failed, eligible, seated, seed, position)) is not None:
        assert new == draw_replacement(failed, eligible, seated, seed, position)
        assert new.judge.family == failed.judge.family
        assert new.judge not in seated
        assert (new.order, new.replaces, new.position) == (failed.order, failed.position, position)
        assert new.inclusion_probability == pytest.approx(1 / candidates)
        seated.add(new.judge)
        failed, position, candidates = new, position + 1, candidates - 1
    assert candidates == 0


def test_replacements_are_drawn_uniformly():
    eligible = eligible_judges(roster_of(A=5, B=1, C=1), Exclusions())
    chosen: Counter[str] = Counter()
    for seed in range(5000):
        seats = assign(eligible, PanelRequest(), 1, seed).seats
        failed = next(seat for seat in seats if seat.judge.family == "A")
        if failed.judge.name == "A0":
            new = draw_replacement(failed, eligible, {seat.judge for seat in seats}, seed, 3)
            assert new is not None
            chosen[new.judge.name] += 1
    assert set(chosen) == {"A1", "A2", "A3", "A4"}
    assert uniform(list(chosen.values())) > ALPHA
