"""The sums of `refusal_cells` as a table."""

from benchmarks.simulation.refusal_cells import CASES
from benchmarks.simulation.rows import table
from benchmarks.simulation.tally import Sums, pooled, worlds_of

_HEAD = """## Refusals

What is asked of the service where the data cannot tell it: *refused* is the share of such worlds in which
it did not answer (a named refusal, a status other than calibrated or identified, or anchors said not to
stand for the traffic). *of whole ones*: the same question where nothing is missing, wrongly refused.
{worlds} worlds.

"""


def tables(sums: Sums) -> str:
    rows = [
        (case.what, case.because, pooled(sums, f"{case.name}:spoiled"), pooled(sums, f"{case.name}:whole"))
        for case in CASES
    ]
    return _HEAD.format(worlds=worlds_of(sums)) + table(
        ("asked", "why it cannot be told", "refused", "of whole ones"), rows
    )
