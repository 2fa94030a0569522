"""Which systems were compared with which: what a ranking can and cannot be made of.

Strengths are differences, so two systems have them on one scale only if comparisons lead from one to the
other, and they are finite only if there is no set of systems that was never beaten from outside: Ford (1957),
"Solution of a ranking problem from binary comparisons".
"""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

Ints = NDArray[np.integer]


def components(first: Ints, second: Ints, systems: int) -> list[list[int]]:
    """Sets of systems that comparisons connect, the largest first; ``first``, ``second`` (m,) codes."""
    graph = coo_matrix((np.ones(len(first)), (first, second)), shape=(systems, systems))
    return _sets(connected_components(graph, directed=False)[1])


def never_beaten(first: Ints, second: Ints, win_rate: NDArray[np.float64], systems: int) -> list[list[int]]:
    """Sets of systems against which no other scored, not even a tie; empty if strengths are finite.

    ``win_rate`` (m,): of ``first`` against ``second``, ties half. The graph has to be connected.
    """
    scored = np.concatenate([win_rate > 0, win_rate < 1])
    winner, loser = np.concatenate([first, second])[scored], np.concatenate([second, first])[scored]
    graph = coo_matrix((np.ones(len(winner)), (winner, loser)), shape=(systems, systems))
    count, label = connected_components(graph, directed=True, connection="strong")
    if count == 1:
        return []
    beaten = label[loser[label[winner] != label[loser]]]
    return [one for one in _sets(label) if label[one[0]] not in beaten]


def _sets(label: Ints) -> list[list[int]]:
    found = [np.flatnonzero(label == one).tolist() for one in range(int(label.max(initial=-1)) + 1)]
    return sorted(found, key=lambda one: (-len(one), one))
