"""Builds the service from its settings: the only module that names concrete things together."""

import asyncio
import contextlib
import gc
import os
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Mapping, MutableMapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryFile, mkstemp
from time import monotonic
from typing import Any

import orjson
import structlog
import uvicorn
import uvloop
from fastapi import FastAPI
from prometheus_client import start_http_server
from starlette.types import ASGIApp, Receive, Send

from app.access.idempotency import Answers
from app.access.keys import Caller, KeyRing
from app.anchoring.documents import read_documents
from app.anchoring.drafts import Drafts
from app.anchoring.imports import Imports
from app.anchoring.ingest import Anchors, Schedule, queue_calibrations
from app.annotating.desk import Desk
from app.annotating.people import People
from app.annotating.publish import Publishing
from app.annotating.queues import Queues
from app.annotating.regrade import Regrades
from app.annotating.rotation import Rotations
from app.auditing.asked import Means
from app.auditing.audits import Audits, Retire
from app.batches.allowances import Allowances
from app.batches.batches import Batches
from app.batches.chunk import Chunks
from app.batches.engine import Engine, system_database
from app.batches.places import Places
from app.batches.providers.duty import Providers
from app.batches.seats import Seats
from app.batches.standing import Standing
from app.batches.worker import BatchWorker
from app.calibration.apply import CalibratedScores
from app.calibration.runner import CalibrationRunner, Ended
from app.cli.main import main
from app.cli.nearby import workers_nearby
from app.cli.wiring import Option, Wiring
from app.domain.calibration import RunStatus
from app.domain.problems import BadInput, Problem
from app.domain.projects import Project, Scope
from app.domain.rubrics import RubricVersion
from app.grading.callbacks import Callbacks
from app.grading.grade import Grading
from app.grading.rubrics import Rubrics
from app.judges.embeddings import open_embeddings
from app.judges.roster import Roster, open_roster, simulated_roster
from app.reporting.quality_report import Quality
from app.reporting.roster_report import RosterReport
from app.settings import SETTINGS, Settings, describe, read_settings, variables
from app.storage.calibrations import CalibrationRun
from app.storage.database import Database
from app.storage.keys import any_key
from app.storage.migrate import DatabaseUnusable, check, shown_url, upgrade
from app.storage.projects import get_or_create_project
from app.storage.rates import SharedRates
from app.storage.workers import Load
from app.web.app import create_app
from app.web.background import Background
from app.web.callers import TRUSTED, is_loopback
from app.web.logs import set_up_logs
from app.web.metrics import Metrics
from app.web.services import Services
from app.web.shown_grade import shown

log = structlog.get_logger(__name__)

_DRAIN_S = 30.0
_HOUSEKEEPING_S = 60.0
_POLITE = 5


def read_pepper(settings: Settings) -> bytes:
    """The secret of keys and signatures: from the settings, or made once and kept in the data directory."""
    if settings.key_pepper is not None:
        return settings.key_pepper.encode()
    path = settings.data_dir / "key-pepper"
    if not path.exists():
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        handle, draft = mkstemp(dir=settings.data_dir)  # readable by its owner only
        with open(handle, "w") as file:
            file.write(secrets.token_urlsafe(32))
        with contextlib.suppress(FileExistsError):  # another process was faster: then its pepper is ours
            os.link(draft, path)
        os.unlink(draft)
    return path.read_bytes().strip()


def build_roster(settings: Settings, environment: Mapping[str, str] = os.environ) -> Roster:
    """The judges of `judges.toml`, or the built-in simulated ones; BadInput with all that is wrong."""
    return simulated_roster() if settings.judges is None else open_roster(settings.judges, environment)


def build_services(settings: Settings, roster: Roster) -> tuple[Services, Callbacks, Answers]:
    """The use cases on a database that is not open yet."""
    # Ids need not be secret: a generator of our own spares a system call for each.
    rng = Random(secrets.randbits(256))
    database = Database(settings.database_url, rng=rng)
    roster.lines.share(SharedRates(database))
    background, metrics = Background(), Metrics()
    keys = KeyRing(database, read_pepper(settings), background.start)
    callbacks = Callbacks(
        database,
        render=lambda grade: orjson.dumps(shown(grade)),
        secret=keys.signing_secret,
    )
    rubrics = Rubrics(database)
    calibrated_scores, quality = CalibratedScores(database, clock=monotonic), Quality(database)
    grading = Grading(
        database,
        roster,
        rubrics,
        calibrated_scores,
        background.start,
        watch=metrics.seat,
        finished=callbacks.wake,
        most_in_flight=settings.max_grades_in_flight,
    )
    metrics.gauge("grades_in_flight", "Grades whose judges are at work.", lambda: grading.in_flight)
    metrics.gauge("grades_waiting", "Grades that wait for a place.", lambda: grading.waiting)
    metrics.gauge("background_tasks", "Work that nobody waits for.", lambda: len(background))
    calibrating = CalibrationRunner(
        database,
        ended=_calibrated(calibrated_scores, quality, metrics, background),
        broke=lambda error: log.error("the queue of calibrations cannot be read", exc_info=error),
    )
    schedule = _and_wake(queue_calibrations(database), calibrating)
    likeness = open_embeddings(settings.embeddings, settings.embeddings_model, settings.embeddings_key)
    anchors = Anchors(database, schedule=schedule, simulated_people=roster.simulated)
    queues = Queues(database, quality, seed=lambda: secrets.randbits(53))
    services = Services(
        database=database,
        roster=roster,
        keys=keys,
        grading=grading,
        batches=Batches(database, roster, grading, rubrics),
        allowances=Allowances(database),
        rubrics=rubrics,
        drafts=Drafts(settings.data_dir / "uploads"),
        anchors=anchors,
        imports=Imports(database, schedule=schedule),
        audits=Audits(
            Means(database, roster, read_documents, likeness), background.start, schedule, _retire(anchors)
        ),
        queues=queues,
        regrades=Regrades(database, queues, seed=lambda: secrets.randbits(53)),
        rotations=Rotations(database, anchors, queues, quality),
        desk=Desk(database),
        people=People(database, keys),
        publishing=Publishing(database, schedule),
        quality=quality,
        roster_report=RosterReport(database, roster),
        metrics=metrics,
        background=background,
        calibrating=calibrating,
        public_url=settings.public_url,
        max_body=settings.max_body_mb * 1_000_000,
        max_upload=settings.max_upload_mb * 1_000_000,
    )
    return services, callbacks, Answers(database)


async def work(settings: Settings, *, parent: int | None = None) -> None:
    """Grade batches until told to stop (SIGTERM, SIGINT), or until the process ``parent`` is gone."""
    set_up_logs(settings.log_level, settings.log_format)
    roster = build_roster(settings)
    await upgrade(settings.database_url)
    rng, metrics, background = Random(secrets.randbits(256)), Metrics(), Background()
    # A worker writes in the order of its chunks: a small cache does, and stays small beside a large file.
    async with Database(settings.database_url, readers=2, cache_mb=16, rng=rng) as database:
        roster.lines.share(SharedRates(database))
        rubrics = Rubrics(database)
        grading = Grading(
            database,
            roster,
            rubrics,
            CalibratedScores(database, clock=monotonic),
            background.start,
            watch=metrics.seat,
            finished=lambda: None,
        )
        places = Places(settings.worker_calls)
        standing = Standing(database, lambda: Load(places.places, places.taken, standing.chunks, seats.calls))
        seats = Seats(database, grading.judges, standing, places, metrics.seat, rng=rng, now=_utc_now)
        providers = Providers(
            database,
            grading.judges,
            rubrics,
            standing,
            metrics.seat,
            poll=timedelta(seconds=settings.provider_poll_s),
            now=_utc_now,
        )
        chunks = Chunks(
            database,
            grading,
            rubrics,
            standing,
            seats,
            providers,
            at_once=settings.worker_calls,
            now=_utc_now,
        )
        worker = BatchWorker(
            database,
            chunks,
            seats,
            standing,
            providers,
            partial(Engine, system_database(database.url)),
            keep=timedelta(days=settings.keep_requests_days),
            now=_utc_now,
        )
        metrics.gauge("worker_turns_taken", "Places for calls that are taken.", lambda: places.taken)
        metrics.gauge("worker_turns_waited_for", "Seats that wait for a place.", lambda: places.waiting)
        if settings.worker_metrics_port:
            start_http_server(settings.worker_metrics_port, settings.host, metrics.registry)
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, worker.stop)
        watching = asyncio.create_task(_stop_without(parent, worker)) if parent else None
        _collect_less()
        try:
            await worker.run()
        finally:
            if watching is not None:
                watching.cancel()
            await roster.close()


def run_worker(options: Mapping[str, str], parent: int | None = None) -> int:
    """`work` as a command; ``options`` are variables that win over the environment."""
    if parent is not None:
        os.nice(_POLITE)  # a service on the same machine answers first
    try:
        settings = read_settings({**os.environ, **options})
        uvloop.run(work(settings, parent=parent))
    except BadInput as bad:
        print(describe(bad), file=sys.stderr)  # noqa: T201
        return 1
    return 0


async def _stop_without(parent: int, worker: BatchWorker) -> None:
    """A worker that a service started ends with it, whatever ended the service."""
    while True:
        await asyncio.sleep(0.5)
        if os.getppid() != parent:
            worker.stop()
            return


def _utc_now() -> datetime:
    return datetime.now(UTC)


def build_app(settings: Settings) -> FastAPI:
    """The service as an ASGI app; its database is migrated and opened when it starts."""
    set_up_logs(settings.log_level, settings.log_format)
    for note in settings.unknown:
        log.warning(note)
    roster = build_roster(settings)
    services, callbacks, answers = build_services(settings, roster)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await upgrade(settings.database_url)
        async with services.database:
            await refuse_open_door(services.database, settings)
            await _begin(services, answers)
            services.background.start(
                services.quality.prepare_newest(), "quality of what was calibrated last"
            )
            nearby = workers_nearby(settings.workers, {**os.environ, **variables(settings)})
            forever = (
                asyncio.create_task(callbacks.run(), name="callbacks"),
                asyncio.create_task(_keep_house(services, answers), name="housekeeping"),
                asyncio.create_task(services.calibrating.run_forever(), name="calibrations"),
            )
            try:
                async with nearby:
                    yield
            finally:
                cancelled = await services.background.drain(_DRAIN_S)
                if cancelled:
                    log.warning("stopped before background work was done", tasks=cancelled)
                await services.grading.close()
                for task in forever:
                    task.cancel()
                await asyncio.gather(*forever, return_exceptions=True)
                await roster.close()

    # Not the public address: what comes by it may come through a proxy here, from anywhere.
    hosts = frozenset({settings.host.lower()})
    return create_app(services, answers, lifespan, hosts)


async def refuse_open_door(database: Database, settings: Settings) -> None:
    """Raise BadInput if the service would listen beyond this machine before there is any key."""
    if is_loopback(settings.host) or await any_key(database):
        return
    problem = Problem(
        "other machines may only be served once there is a key; make one: venire keys create",
        path="VENIRE_HOST",
        value=settings.host,
    )
    raise BadInput("the service does not start", [problem])


async def check_before_serving(settings: Settings) -> None:
    """Migrate, and find what would keep the service from starting while it can be said in a few words.

    Raises
    ------
    BadInput
        With everything that is wrong with the roster, the data directory and the database.
    """
    wrong: list[BadInput] = []
    try:
        build_roster(settings)
    except BadInput as bad:
        wrong.append(bad)
    try:
        await check_storage(settings)
    except BadInput as bad:
        wrong.append(bad)
    if wrong:
        raise BadInput(
            "; ".join(bad.summary for bad in wrong), [problem for bad in wrong for problem in bad.problems]
        )
    await upgrade(settings.database_url)
    async with Database(settings.database_url) as database:
        await refuse_open_door(database, settings)


async def check_storage(settings: Settings) -> None:
    """Raise BadInput, in words, if the data directory or the database cannot be used."""
    problems = []
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=settings.data_dir):
            pass
    except OSError as error:
        why = f"cannot be written: {error.strerror or error}"
        problems.append(Problem(why, path="VENIRE_DATA_DIR", value=str(settings.data_dir)))
    inside = Path(settings.database_url.partition("///")[2]).is_relative_to(settings.data_dir.absolute())
    if not (problems and inside):  # or the same would be said twice
        try:
            await check(settings.database_url)
        except DatabaseUnusable as error:
            problems.append(Problem(error.why, path="VENIRE_DATABASE_URL", value=error.url))
    if problems:
        raise BadInput("the data cannot be stored", problems)


def serve(options: Mapping[str, str]) -> int:
    """Run the service until it is told to stop; ``options`` are variables that win over the environment."""
    try:
        settings = read_settings({**os.environ, **options})
        asyncio.run(check_before_serving(settings))
        app = build_app(settings)
    except BadInput as bad:
        print(describe(bad), file=sys.stderr)  # noqa: T201
        return 1
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=int(_DRAIN_S),
        timeout_keep_alive=60,
        server_header=False,
    )
    server = uvicorn.Server(config)
    _collect_less()
    try:
        server.run()
    except SystemExit:  # it could not start, and has said why
        return 1
    return 0 if server.started else 1


@contextlib.asynccontextmanager
async def open_app(project: str) -> AsyncIterator[ASGIApp]:
    """The service within this process, on the database of this environment; for commands on one machine.

    Whoever holds the app is trusted with all of ``project``, which is made if it is not there: keys are for
    those who come over the network, and cannot reach this.
    """
    quiet = {"VENIRE_LOG_LEVEL": "error", **os.environ}
    settings = replace(read_settings(quiet), host="127.0.0.1")  # nothing listens: no door to refuse
    await check_storage(settings)
    app = build_app(settings)
    async with app.router.lifespan_context(app):
        database = app.state.services.database
        found = await get_or_create_project(database, project, now=datetime.now(UTC))
        caller = Caller(found, frozenset(Scope))

        async def trusted(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
            await app({**scope, TRUSTED: caller}, receive, send)

        yield trusted


def upgrade_database() -> str:
    """Bring the database of this environment up to date; returns its address without a password."""
    settings = read_settings()

    async def run() -> None:
        await check_storage(settings)
        await upgrade(settings.database_url)

    asyncio.run(run())
    return shown_url(settings.database_url)


def command_line() -> None:
    """The command ``venire``; `app.command` is the same without the wait for this module."""
    options = tuple(Option(s.option, s.variable, s.meaning, s.default) for s in SETTINGS)
    sys.exit(main(Wiring(options, serve, run_worker, open_app, upgrade_database, os.environ)))


def _collect_less() -> None:
    """What start-up made stays. A grade makes some thousand objects, nearly all of which go without the
    collector; by default it would look for cycles several times per grade."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def _calibrated(
    scores: CalibratedScores, quality: Quality, metrics: Metrics, background: Background
) -> Ended:
    """What follows a calibration's end: grades look for it, its quality is computed before anyone asks,
    and it is counted."""

    def ended(run: CalibrationRun, status: RunStatus, seconds: float) -> None:
        scores.forget(run.project_id)
        metrics.fit(status.value, seconds)
        about = run.calibration
        if status is RunStatus.DONE:
            background.start(
                quality.prepare(run.project_id, about.rubric, about.criterion), f"quality of {about.rubric}"
            )
        log.info(
            "calibration", rubric=about.rubric, criterion=about.criterion, status=status, seconds=seconds
        )

    return ended


def _and_wake(schedule: Schedule, calibrating: CalibrationRunner) -> Schedule:
    """New evidence queues calibrations, which start at once."""

    async def schedule_and_wake(project: Project, rubric: RubricVersion, criteria: tuple[str, ...]) -> None:
        await schedule(project, rubric, criteria)
        calibrating.wake()

    return schedule_and_wake


def _retire(anchors: Anchors) -> Retire:
    """Audits take anchors out of their sets the way anybody does."""

    async def retire(project: Project, anchor_set: str, items: tuple[str, ...], reason: str) -> None:
        await anchors.retire(project, anchor_set, items=items, reason=reason)

    return retire


async def _begin(services: Services, answers: Answers) -> None:
    await services.keys.anyone()  # makes the default project
    await services.audits.recover()
    recovered = await services.grading.recover()
    if recovered:
        log.warning("grades that a stopped process left unfinished were closed as failed", grades=recovered)
    await services.batches.drop_abandoned()
    await answers.forget_old()
    for warning in services.roster.warnings:
        log.warning(warning)
    versions = services.roster.versions()
    families = sorted({version.family for version in versions})
    log.info("roster", judges=len(versions), families=families, simulated=services.roster.simulated)


async def _keep_house(services: Services, answers: Answers) -> None:
    """Now and then, close what processes that died meanwhile left behind, and forget what is old."""
    while True:
        await asyncio.sleep(_HOUSEKEEPING_S)
        try:
            await services.grading.recover()
            await services.audits.recover()
            await answers.forget_old()
        except Exception as error:  # the database may be away; there is a next time
            log.error("housekeeping failed", exc_info=error)
