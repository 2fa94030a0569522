"""What routes may call: built once by bootstrap, found on the app by every request."""

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends
from starlette.requests import HTTPConnection

from app.access.keys import KeyRing
from app.anchoring.drafts import Drafts
from app.anchoring.imports import Imports
from app.anchoring.ingest import Anchors
from app.annotating.desk import Desk
from app.annotating.people import People
from app.annotating.publish import Publishing
from app.annotating.queues import Queues
from app.annotating.regrade import Regrades
from app.annotating.rotation import Rotations
from app.auditing.audits import Audits
from app.batches.allowances import Allowances
from app.batches.batches import Batches
from app.calibration.runner import CalibrationRunner
from app.grading.grade import Grading
from app.grading.rubrics import Rubrics
from app.judges.roster import Roster
from app.reporting.quality_report import Quality
from app.reporting.roster_report import RosterReport
from app.web.background import Background
from app.web.metrics import Metrics


@dataclass(slots=True)
class Services:
    """The use cases and what they share.

    ``database`` is handed on to use cases and never looked into here; ``public_url`` is empty where links
    follow the request's own address; sizes are in bytes.
    """

    database: Any
    roster: Roster
    keys: KeyRing
    grading: Grading
    batches: Batches
    allowances: Allowances
    rubrics: Rubrics
    drafts: Drafts
    anchors: Anchors
    imports: Imports
    audits: Audits
    queues: Queues
    regrades: Regrades
    rotations: Rotations
    desk: Desk
    people: People
    publishing: Publishing
    quality: Quality
    roster_report: RosterReport
    metrics: Metrics
    background: Background
    calibrating: CalibrationRunner
    public_url: str = ""
    max_body: int = 4_000_000
    max_upload: int = 2_048_000_000


def served(connection: HTTPConnection) -> Services:
    """The services of the app that handles this request."""
    found: Services = connection.app.state.services
    return found


async def _services(connection: HTTPConnection) -> Services:
    return served(connection)


Served = Annotated[Services, Depends(_services)]
