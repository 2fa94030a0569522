"""Who judges an item, and in which order each judge sees the answers.

Pure: the same seed gives the same panel whatever the roster's order, so a stored seed replays it.
Families are drawn uniformly without replacement, then judges within each family likewise; orders come
from Williams squares whose answers are relabelled at random, so that the answers stand first equally
often over the seats of one item and every order is equally likely at every seat.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from random import Random

from app.domain.judging import Assignment, JudgeVersion, PanelRequest, Seat, TooFewFamilies

ByFamily = Mapping[str, Sequence[JudgeVersion]]


@dataclass(frozen=True, slots=True)
class Exclusions:
    """Who may not sit: judges of ``families``, and judges that run one of ``models``."""

    families: frozenset[str] = frozenset()
    models: frozenset[str] = frozenset()


def eligible_judges(roster: Iterable[JudgeVersion], exclusions: Exclusions) -> dict[str, list[JudgeVersion]]:
    """The judges that may sit, by family; families and judges in an order of their own, not the roster's."""
    by_family: dict[str, list[JudgeVersion]] = {}
    for judge in sorted(set(roster)):
        if judge.family not in exclusions.families and judge.model not in exclusions.models:
            by_family.setdefault(judge.family, []).append(judge)
    return by_family


def assign(eligible: ByFamily, request: PanelRequest, answers: int, seed: int) -> Assignment:
    """Draw the panel and the presentations of one item.

    ``eligible`` is as `eligible_judges` returns it; ``request`` counts for its sizes, its exclusions
    have been applied already. A family with fewer than ``judges_per_family`` judges seats all it has.
    With ``both_orders`` each judge has two neighbouring seats, the second order the reverse of the first.
    With ``stages`` the panel is the same; the first judge of each of its first families sits in the first
    stage, and the other seats wait.

    Raises
    ------
    TooFewFamilies
        If judges of fewer than ``request.families`` families may sit.
    """
    if len(eligible) < request.families:
        raise TooFewFamilies(len(eligible), request.families)
    rng = Random(seed)
    panel = draw_panel(eligible, request.families, request.judges_per_family, rng)
    if request.both_orders:
        orders = [order for pair in mirrored_orders(answers, len(panel), rng) for order in pair]
        panel = [judge for judge in panel for _ in range(2)]
    else:
        orders = balanced_orders(answers, len(panel), rng)
    chances = {
        family: inclusion_probability(len(eligible), len(judges), request)
        for family, judges in eligible.items()
    }
    seats = tuple(
        Seat(position, judge, order, chances[judge.family])
        for position, (judge, order) in enumerate(zip(panel, orders, strict=True))
    )
    seats, waiting = in_stages(seats, request, chances)
    drawn_from = {family: len(judges) for family, judges in eligible.items()}
    return Assignment(seed, seats, drawn_from, waiting)


def in_stages(
    seats: tuple[Seat, ...], request: PanelRequest, chances: Mapping[str, float]
) -> tuple[tuple[Seat, ...], tuple[Seat, ...]]:
    """The seats of the first stage and those of the second, numbered in this order.

    Families stand in random order, and so do the judges of a family. So those of the first stage are a
    random sample: a judge with chance c of sitting on the panel sits in the first stage with chance
    c * first / (families * judges of its family on it), and given the first stage in the second with
    (c - that) / (1 - that).
    """
    if request.stages is None:
        return seats, ()
    by_family: dict[str, list[JudgeVersion]] = {}
    for seat in seats:
        judges = by_family.setdefault(seat.judge.family, [])
        if seat.judge not in judges:
            judges.append(seat.judge)
    begins = {judges[0] for judges in list(by_family.values())[: request.stages.first]}
    first, second = [], []
    for seat in seats:
        family, on_panel = seat.judge.family, len(by_family[seat.judge.family])
        share = request.stages.first / (request.families * on_panel)
        early = chances[family] * share
        if seat.judge in begins:
            first.append(replace(seat, inclusion_probability=early))
        else:
            late = (chances[family] - early) / (1.0 - early) if early < 1.0 else 0.0
            second.append(replace(seat, inclusion_probability=late))
    numbered = [replace(seat, position=place) for place, seat in enumerate((*first, *second))]
    return tuple(numbered[: len(first)]), tuple(numbered[len(first) :])


def draw_panel(eligible: ByFamily, families: int, per_family: int, rng: Random) -> list[JudgeVersion]:
    """``per_family`` judges from each of ``families`` families, both uniform, in random order of families."""
    panel: list[JudgeVersion] = []
    for family in rng.sample(sorted(eligible), families):
        judges = eligible[family]
        panel += rng.sample(judges, min(per_family, len(judges)))
    return panel


def inclusion_probability(families: int, judges_in_family: int, request: PanelRequest) -> float:
    """A judge's chance of sitting: that its family is drawn, times that it is drawn within it."""
    within = min(request.judges_per_family, judges_in_family) / judges_in_family
    return request.families / families * within


def draw_replacement(
    failed: Seat, eligible: ByFamily, seated: Collection[JudgeVersion], seed: int, position: int
) -> Seat | None:
    """A judge of the failed seat's family that sits nowhere yet; None if there is none left.

    It takes over the failed seat's order, so that the panel stays balanced. The draw has its own
    generator, seeded with the panel's ``seed`` and the failed seat's position: which replacement is drawn
    for a seat does not hang on when other seats fail, unless they are of the same family.
    ``position`` is the new seat's own; its inclusion probability is that of this draw.
    """
    left = [judge for judge in eligible.get(failed.judge.family, ()) if judge not in seated]
    if not left:
        return None
    judge = Random(f"{seed}/{failed.position}").choice(left)
    return Seat(position, judge, failed.order, 1 / len(left), replaces=failed.position)


def balanced_orders(answers: int, seats: int, rng: Random) -> list[tuple[int, ...]]:
    """One order per seat: each answer stands in each place equally often, up to one.

    Whole Williams squares are used up before a new one begins, each relabelled anew; for an odd
    number of answers every square is followed by its mirror image, which completes the balance of
    neighbours (Williams 1949). The last square is cut to a random choice of its rows.
    """
    orders: list[tuple[int, ...]] = []
    square: list[tuple[int, ...]] = []
    mirrored_next = False
    while len(orders) < seats:
        square = [row[::-1] for row in square] if mirrored_next else _relabelled_square(answers, rng)
        mirrored_next = answers % 2 == 1 and not mirrored_next
        orders += rng.sample(square, min(answers, seats - len(orders)))
    rng.shuffle(orders)
    return orders


def mirrored_orders(answers: int, judges: int, rng: Random) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """An order and its reverse per judge: over all of them each answer stands first equally often, up to one.

    A row of the Williams square that starts with r ends with r + h (mod n): so a set of rows is a set of
    edges of a graph on the answers, and degrees must be as equal as can be. For even n the edges are a
    perfect matching; for odd n one cycle, of which every second edge is taken first.
    """
    pairs: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
    while len(pairs) < judges:
        square = _relabelled_square(answers, rng)
        rows = [square[row] for row in _rows_by_matching(answers)]
        turned = [(row, row[::-1]) if rng.random() < 0.5 else (row[::-1], row) for row in rows]
        pairs += turned[: judges - len(pairs)]
    rng.shuffle(pairs)
    return pairs


@lru_cache(maxsize=32)
def williams_square(n: int) -> tuple[tuple[int, ...], ...]:
    """n orders of n answers, each answer once in each place; for even n each neighbour to each other once.

    The first row goes 0, 1, n-1, 2, n-2, ...; row r adds r, modulo n.
    """
    first = [(step + 1) // 2 if step % 2 else (n - step // 2) % n for step in range(n)]
    return tuple(tuple((place + row) % n for place in first) for row in range(n))


def _relabelled_square(n: int, rng: Random) -> list[tuple[int, ...]]:
    labels = rng.sample(range(n), n)
    return [tuple(labels[place] for place in row) for row in williams_square(n)]


def _rows_by_matching(n: int) -> list[int]:
    """Rows of the Williams square so ordered that any first few have first and last answers spread evenly."""
    if n % 2 == 0:
        return list(range(n // 2))  # row r + n/2 is the reverse of row r
    step = (n + 1) // 2  # row r joins r with r + step, and 2 * step = 1 (mod n): all rows form one cycle
    cycle = [edge * step % n for edge in range(n)]
    return cycle[0::2] + cycle[1::2]
