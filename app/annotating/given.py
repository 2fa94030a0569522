"""What a person gave: whether it is whole, and what is wrong with it."""

from collections.abc import Mapping, Sequence

from app.domain.annotation import Queue, Scores
from app.domain.problems import Problem
from app.domain.rubrics import RubricKind

_PAIR = (-1.0, 0.0, 1.0)


def incomplete(queue: Queue, scores: Scores) -> bool:
    """Whether anything is not graded yet."""
    return any(
        None in scores.get(one.name, (None,)) or not scores.get(one.name)
        for one in queue.rubric.rubric.criteria
    )


def problems_of(
    queue: Queue, answers: int, scores: Mapping[str, Sequence[float | None]], *, partial: bool
) -> Sequence[Problem]:
    """All that is wrong with scores of that many answers; with ``partial`` some may be missing."""
    rubric, found = queue.rubric.rubric, []
    pair = rubric.kind is RubricKind.PAIRWISE
    wanted = 1 if pair else answers
    known = {one.name for one in rubric.criteria}
    found += [Problem("there is no such criterion", path=f"scores.{name}") for name in scores.keys() - known]
    for criterion in rubric.criteria:
        path = f"scores.{criterion.name}"
        given = list(scores.get(criterion.name, ()))
        if not given and partial:
            continue
        if len(given) != wanted:
            found.append(Problem(f"needs {wanted} value{'s'[: wanted != 1]}", path=path, value=given))
            continue
        for k, value in enumerate(given):
            where = path if wanted == 1 else f"{path}[{k}]"
            if value is None:
                if not partial:
                    found.append(Problem("is not graded yet", path=where))
            elif pair and value not in _PAIR:
                found.append(Problem("must be 1 (the first is better), 0 or -1", path=where, value=value))
            elif not pair and not criterion.scale.on_step(value):
                found.append(Problem("is not on the scale", path=where, value=value))
    return found
