"""Which rubric and criterion a page is about: as asked in its address, or the first there is."""

from dataclasses import dataclass
from urllib.parse import quote

from app.access.keys import Caller
from app.domain.problems import NotFound
from app.domain.rubrics import Criterion, RubricVersion
from app.web.pages.page import Link
from app.web.services import Services

MOST_RUBRICS = 200


@dataclass(frozen=True, slots=True)
class Option:
    """One entry of a select or one box to tick."""

    value: str
    label: str
    selected: bool = False


@dataclass(frozen=True, slots=True)
class Chosen:
    """``version`` and ``criterion`` are None where the project has no rubric at all."""

    rubrics: tuple[RubricVersion, ...]
    version: RubricVersion | None
    criterion: Criterion | None

    def options(self) -> tuple[Option, ...]:
        """Every criterion of every rubric, for one select: its value names both."""
        return tuple(
            Option(
                value=pair(version.rubric.name, one.name),
                label=version.rubric.name if _alone(version) else f"{version.rubric.name}: {one.name}",
                selected=version is self.version and one is self.criterion,
            )
            for version in self.rubrics
            for one in version.rubric.criteria
        )

    def rubric_links(self, base: str) -> tuple[Link, ...]:
        """One link per rubric to ``base``, which has no query yet."""
        return tuple(
            Link(one.rubric.name, f"{base}?rubric={quote(one.rubric.name, safe='')}", one is self.version)
            for one in self.rubrics
        )


def _alone(version: RubricVersion) -> bool:
    names = [one.name for one in version.rubric.criteria]
    return names == [version.rubric.name]


def pair(rubric: str, criterion: str) -> str:
    """Both names in one value of a form; quoted, so that either may hold any character."""
    return f"{quote(rubric, safe='')}/{quote(criterion, safe='')}"


async def choose(services: Services, caller: Caller, rubric: str | None, criterion: str | None) -> Chosen:
    """Find what was asked for.

    Raises
    ------
    NotFound
        If the project has no such rubric, or the rubric no such criterion.
    """
    found = (await services.rubrics.list(caller.project, MOST_RUBRICS, None)).items
    version = next((one for one in found if one.rubric.name == rubric), None) if rubric else None
    if rubric and version is None:
        version = await services.rubrics.latest(caller.project, rubric)
        found = (version, *found)
    if version is None:
        version = found[0] if found else None
    if version is None:
        return Chosen((), None, None)
    if not criterion:
        return Chosen(found, version, version.rubric.criteria[0])
    try:
        return Chosen(found, version, version.rubric.criterion(criterion))
    except KeyError:
        raise NotFound(f"criterion of {version.rubric.name!r} called", criterion) from None
