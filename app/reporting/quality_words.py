"""What a quality row says about itself, and the sentence each limit triggers."""

from collections.abc import Sequence

from app.calibration.frame import Frame
from app.domain.calibration import ScoreStatus
from app.reporting.anchor_shift import MAX_PROMPT_SHARE, TEXTS, Anchoring, Standing
from app.stats.group_quality import MINIMUMS, Basis, GroupQuality

ENOUGH_POOLED = 10  # labelled prompts of its own for a system that leans on others


_STANDING = {
    Standing.WEIGHTED: "its human grades do not look like its traffic and are weighted to look like it",
    Standing.WIDENED: "its human grades do not look like its traffic and no weights can make them: "
    "the interval also holds what the furthest bearable weights would say",
}


def row_status(
    quality: GroupQuality, g: int, anchoring: Anchoring, system: int | None
) -> tuple[ScoreStatus, tuple[str, ...]]:
    """The status of one row and why it is not better; ``system`` is its system's code, None if many."""
    prompts, basis, standing = int(quality.means.n_prompts[g]), quality.basis[g], anchoring.of(system)
    if standing is Standing.REFUSED and basis is not Basis.NONE:
        return ScoreStatus.EXTRAPOLATING, (
            "no level is given: the anchors do not stand for this traffic (see the warnings of the table)",
        )
    said = [_STANDING[standing]] if standing in _STANDING and prompts else []
    if basis is Basis.NONE:
        return _nothing(quality, g, prompts)
    if basis is Basis.OTHERS:
        return ScoreStatus.EXTRAPOLATING, (
            "no human grade of its own: predicted from the other systems, as if it were one more like them",
        )
    status = ScoreStatus.CALIBRATED
    if basis is Basis.POOLED and prompts < ENOUGH_POOLED:
        status = ScoreStatus.INSUFFICIENT_ANCHORS
        said.append(
            f"human grades on {prompts} of its prompts, {ENOUGH_POOLED} are asked for: "
            "the estimate leans mostly on the other systems"
        )
    if basis is Basis.LABELS_ONLY:
        said.append("too few of the rarer grades to use the panel: from the human grades alone")
    if basis is Basis.POOLED and quality.off_mode[g] < MINIMUMS.off_mode:
        said.append("nearly all of its human grades are the same, so the interval is kept wide")
    weighted = anchoring.weight is not None
    if weighted and prompts >= MINIMUMS.off_mode and quality.means.largest_weight[g] > MAX_PROMPT_SHARE:
        said.append(f"one prompt carries {quality.means.largest_weight[g]:.0%} of the weight of its anchors")
    return status, tuple(said)


def _nothing(quality: GroupQuality, g: int, prompts: int) -> tuple[ScoreStatus, tuple[str, ...]]:
    least = MINIMUMS
    anchored = int((quality.means.n_prompts >= least.prompts_unanchored).sum())
    if prompts == 0:
        why = (
            "no human grade of its own: raw verdicts can only be compared with each other; a level could be "
            f"predicted once {least.groups_unanchored} others have {least.prompts_unanchored} graded prompts "
            f"each ({anchored} have)"
        )
        return ScoreStatus.JUDGE_RELATIVE, (why,)
    why = (
        f"human grades on {prompts} of its prompts: {least.prompts_alone} are needed to stand alone, or "
        f"{ENOUGH_POOLED} where {least.groups_pooled} or more rows have human grades on "
        f"{least.prompts_in_all} prompts in all"
    )
    return ScoreStatus.INSUFFICIENT_ANCHORS, (why,)


def table_warnings(frame: Frame, anchoring: Anchoring, quality: GroupQuality) -> tuple[str, ...]:
    """What holds for every row."""
    said = anchor_warnings(frame, anchoring)
    if quality.means.power.lam == 0 and quality.means.n_anchors.sum():
        said.append("the panel does not follow the human grades: estimates rest on human grades alone")
    return tuple(said)


def anchor_warnings(frame: Frame, anchoring: Anchoring) -> list[str]:
    """What holds for everything that rests on these anchors."""
    said = ["the verdicts are simulated: nothing here is a measurement"] if frame.simulated else []
    return said + _about_anchors(anchoring, frame.systems)


def _about_anchors(anchoring: Anchoring, systems: Sequence[str]) -> list[str]:
    said: list[str] = []
    if anchoring.partly_logged:
        said.append("inclusion probabilities are known for some anchors only, so they are not used")
    if anchoring.test.p_value is None:
        if anchoring.test.prompts:
            said.append("too few graded prompts to tell whether the anchors look like the traffic")
        return said
    if not anchoring.flagged:
        return said + _about_systems(anchoring, systems)
    what = f"most of all {anchoring.feature}, {'more' if anchoring.more else 'less'} of it among the anchors"
    if anchoring.feature == TEXTS:
        what = f"{TEXTS} tells them apart"
    found = f"the anchors do not look like the traffic (p = {anchoring.p_value:.2g}; {what})"
    if anchoring.hopeless:
        said.append(f"{found}, and no weights can mend it: grade some of what the anchors leave out")
    elif anchoring.standing is Standing.WIDENED:
        said.append(f"{found}, and no weights can mend it: intervals are wider, read the levels with care")
    elif not anchoring.logged:
        said.append(
            f"{found}: they are weighted to look like it, and count as {anchoring.effective_size:.0f} grades"
        )
    else:
        said.append(f"{found}, beyond what their logged inclusion probabilities explain: weights adjusted")
    return said


_DONE = {
    Standing.WEIGHTED: "weighted to look like it",
    Standing.WIDENED: "no weights can mend it, so their intervals are wider",
    Standing.REFUSED: "no weights can mend it, so no level is given",
}


def _about_systems(anchoring: Anchoring, systems: Sequence[str]) -> list[str]:
    """Systems whose own anchors do not look like their own traffic."""
    return [
        f"the anchors of {', '.join(names)} do not look like their traffic: {done}"
        for standing, done in _DONE.items()
        if (names := [systems[s] for s, found in anchoring.systems.items() if found is standing])
    ]
