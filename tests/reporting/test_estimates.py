"""Quality is computed once for one state of the data, and before it is asked for."""

from sqlalchemy import delete

from app.reporting.comparisons import compare
from app.storage.calibrations import newest_calibrated
from app.storage.tables import calibration_frames

ASK = {"rubric": "support", "criterion": "quality"}


async def test_tables_and_comparisons_of_one_state_rest_on_the_same_estimates(calibrated):
    async with calibrated() as (quality, project, _db):
        await quality.table(project.id, **ASK)
        ready = await quality.ready(project.id, **ASK)
        groups, found = ready.estimates.of(["system"])
        compared = await compare(quality, project.id, **ASK, baseline="bot-0", candidate="bot-1")
        again = await quality.ready(project.id, **ASK)
        assert again.estimates is ready.estimates
        assert again.estimates.of(("system",)) == (
            groups,
            found,
        )  # the very same, or arrays would not compare
        assert ready.estimates.of(("system",), 0.9)[1] is not found
        a, b = (groups.systems.index(name) for name in ("bot-0", "bot-1"))
        difference = found.means.estimate[b] - found.means.estimate[a]
        assert compared.overall.difference == difference * ready.units.shown_width()


async def test_what_was_calibrated_last_is_ready_before_it_is_asked_for(calibrated):
    async with calibrated() as (quality, project, db):
        assert await newest_calibrated(db, limit=8) == [(project.id, "support", "quality")]
        await quality.prepare_newest()
        await db.write(lambda connection: connection.execute(delete(calibration_frames)))
        table = await quality.table(project.id, **ASK)  # of what was kept: there is nothing left to read
        assert table.rows[0].corrected is not None
