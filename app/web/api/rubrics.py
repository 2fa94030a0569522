"""PUT and GET /rubrics."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query
from pydantic import Field, model_validator
from starlette.responses import Response

from app.access.keys import Caller
from app.anchoring.template import MEDIA_TYPES, TemplateFormat, template
from app.domain.projects import Scope
from app.domain.rubrics import Criterion, Rubric, RubricKind, RubricVersion, Scale
from app.web.callers import needs
from app.web.downloads import attachment
from app.web.errors import documented
from app.web.fields import Answered, Body, Name, Text
from app.web.paging import Page, Paging
from app.web.queries import StrictRoute
from app.web.services import Served

router = APIRouter(tags=["rubrics"], route_class=StrictRoute)

Reader = Annotated[Caller, needs(Scope.READ)]
Writer = Annotated[Caller, needs(Scope.ADMIN)]
RubricName = Annotated[
    str, Path(min_length=1, max_length=200, description="Name of the rubric.", examples=["helpfulness"])
]
_MOST_VALUES = 1001


class ScaleIn(Body):
    """Ordered values: either ``min``, ``max`` and ``step``, or ``labels``."""

    min: float | None = Field(None, description="Lowest value.", examples=[1])
    max: float | None = Field(None, description="Highest value.", examples=[5])
    step: float | None = Field(
        1, gt=0, description="Distance of neighbouring values; null for a continuous scale.", examples=[1]
    )
    labels: list[Name] | None = Field(
        None,
        min_length=2,
        max_length=100,
        description="Words in place of numbers, worst to best unless higher is not better: "
        "they stand for 1, 2, ...",
        examples=[["poor", "fair", "good"]],
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> "ScaleIn":
        if self.labels is not None:
            if self.min is not None or self.max is not None or "step" in self.model_fields_set:
                raise ValueError("give either labels, or min, max and step")
            if len(set(self.labels)) < len(self.labels):
                raise ValueError("labels must differ from each other")
            return self
        if self.min is None or self.max is None:
            raise ValueError("give min and max, or labels")
        if not self.min < self.max:
            raise ValueError("min must be less than max")
        if self.step is not None:
            steps = (self.max - self.min) / self.step
            if steps + 1 > _MOST_VALUES:
                raise ValueError(
                    f"a stepped scale has at most {_MOST_VALUES} values; step null is continuous"
                )
            if abs(steps - round(steps)) > 1e-6:
                raise ValueError("step must divide the distance from min to max")
        return self

    def scale(self) -> Scale:
        """The same in the words of the domain."""
        if self.labels is not None:
            return Scale.of_labels(tuple(self.labels))
        assert self.min is not None  # both were checked above
        assert self.max is not None
        return Scale(self.min, self.max, self.step)


class CriterionIn(Body):
    """One dimension of quality."""

    name: Name = Field(description="Name, unique in the rubric.", examples=["helpfulness"])
    description: Text = Field(
        min_length=1,
        max_length=20_000,
        description="What the judge is to look for.",
        examples=["How far the answer solves the user's problem."],
    )
    scale: ScaleIn = Field(
        description="Values a judge may give. Pairwise verdicts are first, second or tie: there the scale "
        "is only how a preference would be worded.",
        examples=[{"min": 1, "max": 5, "step": 1}],
    )
    higher_is_better: bool = Field(True, description="Direction of the scale.", examples=[True])


class RubricIn(Body):
    """A rubric's content."""

    kind: Literal["pointwise", "pairwise", "listwise"] = Field(
        description="One answer alone, two side by side, or two to ten together.", examples=["pointwise"]
    )
    instructions: Text = Field(
        min_length=1,
        max_length=100_000,
        description="What the judge is told before the criteria.",
        examples=["You judge answers of a support assistant."],
    )
    criteria: list[CriterionIn] = Field(
        min_length=1,
        max_length=20,
        description="What is judged, all in one call.",
        examples=[
            [
                {
                    "name": "helpfulness",
                    "description": "How far the answer solves the user's problem.",
                    "scale": {"min": 1, "max": 5, "step": 1},
                }
            ]
        ],
    )

    @model_validator(mode="after")
    def _names_differ(self) -> "RubricIn":
        names = [criterion.name for criterion in self.criteria]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise ValueError(f"criteria must have different names; twice: {', '.join(doubled)}")
        return self

    def rubric(self, name: str) -> Rubric:
        """The same in the words of the domain."""
        criteria = tuple(
            Criterion(c.name, c.description, c.scale.scale(), c.higher_is_better) for c in self.criteria
        )
        return Rubric(name, RubricKind(self.kind), self.instructions, criteria)


class ScaleOut(Answered):
    """Ordered values with equal steps."""

    min: float = Field(description="Lowest value.", examples=[1])
    max: float = Field(description="Highest value.", examples=[5])
    step: float | None = Field(description="Distance of neighbours; null: continuous.", examples=[1])
    labels: list[str] | None = Field(description="Words for the values 1, 2, ...", examples=[None])


class CriterionOut(Answered):
    """One dimension of quality."""

    name: str = Field(description="Its name.", examples=["helpfulness"])
    description: str = Field(description="What the judge looks for.", examples=["How far it helps."])
    scale: ScaleOut = Field(
        description="Values a judge may give.", examples=[{"min": 1, "max": 5, "step": 1, "labels": None}]
    )
    higher_is_better: bool = Field(description="Direction of the scale.", examples=[True])


class RubricOut(Answered):
    """A rubric at one version, which never changes."""

    name: str = Field(description="Name of the rubric.", examples=["helpfulness"])
    version: int = Field(description="Counts the changes of content, from 1.", examples=[3])
    kind: Literal["pointwise", "pairwise", "listwise"] = Field(
        description="How answers are shown to a judge.", examples=["pointwise"]
    )
    instructions: str = Field(
        description="What the judge is told.", examples=["You judge answers of a support assistant."]
    )
    criteria: list[CriterionOut] = Field(description="What is judged.", examples=[[]])
    digest: str = Field(description="SHA-256 of the content.", examples=["9f86d081884c7d65"])

    @staticmethod
    def of(version: RubricVersion) -> "RubricOut":
        """The version as it is shown."""
        rubric = version.rubric
        return RubricOut(
            name=rubric.name,
            version=version.version,
            kind=rubric.kind.value,
            instructions=rubric.instructions,
            criteria=[_criterion(criterion) for criterion in rubric.criteria],
            digest=rubric.digest(),
        )


def _criterion(criterion: Criterion) -> CriterionOut:
    scale = criterion.scale
    return CriterionOut(
        name=criterion.name,
        description=criterion.description,
        scale=ScaleOut(
            min=scale.low,
            max=scale.high,
            step=scale.step,
            labels=list(scale.labels) if scale.labels else None,
        ),
        higher_is_better=criterion.higher_is_better,
    )


@router.put(
    "/rubrics/{name}",
    summary="Put a rubric; changed content makes a new version",
    responses={
        201: {"model": RubricOut, "description": "A new version"},
        **documented(400, 413, 415, 422),
    },
)
async def put_rubric(
    name: RubricName, body: RubricIn, caller: Writer, services: Served, response: Response
) -> RubricOut:
    """The same content as the newest version changes nothing. Versions never change."""
    version, new = await services.rubrics.put(caller.project, body.rubric(name))
    if new:
        response.status_code = 201
    return RubricOut.of(version)


@router.get("/rubrics", summary="The newest version of each rubric", responses=documented(422))
async def list_rubrics(caller: Reader, services: Served, paging: Paging) -> Page[RubricOut]:
    """By name."""
    page = await services.rubrics.list(caller.project, paging.limit, paging.cursor)
    return Page(items=[RubricOut.of(version) for version in page.items], next_cursor=page.next_cursor)


@router.get("/rubrics/{name}", summary="The newest version of a rubric", responses=documented(404, 422))
async def get_rubric(name: RubricName, caller: Reader, services: Served) -> RubricOut:
    """Its content and its version."""
    return RubricOut.of(await services.rubrics.latest(caller.project, name))


@router.get(
    "/rubrics/{name}/anchor-template",
    summary="A file to fill in with human grades",
    response_class=Response,
    responses={
        200: {
            "content": {media.partition(";")[0]: {} for media in MEDIA_TYPES.values()},
            "description": "Columns for the rubric's criteria, a row that explains them, an example per "
            "criterion. Rows whose first cell begins with `#venire` are not read when it is uploaded.",
        },
        **documented(404, 422),
    },
)
async def get_template(
    name: RubricName,
    caller: Reader,
    services: Served,
    format: Annotated[
        TemplateFormat, Query(description="csv, jsonl or xlsx.", examples=["csv"])
    ] = TemplateFormat.CSV,
) -> Response:
    """Of its newest version."""
    version = await services.rubrics.latest(caller.project, name)
    headers = attachment(f"{name}-anchors.{format.value}")
    return Response(template(version.rubric, format), 200, headers, MEDIA_TYPES[format])


@router.get("/rubrics/{name}/versions", summary="Every version of a rubric", responses=documented(404, 422))
async def list_versions(
    name: RubricName, caller: Reader, services: Served, paging: Paging
) -> Page[RubricOut]:
    """Oldest first."""
    versions = await services.rubrics.versions(caller.project, name)
    page, cursor = paging.cut(versions, lambda version: f"{version.version:09d}")
    return Page(items=[RubricOut.of(version) for version in page], next_cursor=cursor)


@router.get(
    "/rubrics/{name}/versions/{version}",
    summary="One version of a rubric",
    responses=documented(404, 422),
)
async def get_version(
    name: RubricName,
    version: Annotated[int, Path(ge=1, le=1_000_000_000, description="The version, from 1.", examples=[3])],
    caller: Reader,
    services: Served,
) -> RubricOut:
    """What the judges of that version were told."""
    return RubricOut.of(await services.rubrics.version(caller.project, name, version))
