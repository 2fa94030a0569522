"""What a quality row says about itself, and the sentence each limit triggers."""

from app.calibration.frame import Frame
from app.domain.calibration import ScoreStatus
from app.reporting.graded_units import MAX_PROMPT_SHARE, Anchoring
from app.stats.group_quality import MINIMUMS, Basis, GroupQuality

ENOUGH_POOLED = 10  # labelled prompts of its own for a system that leans on others


def row_status(quality: GroupQuality, g: int, anchoring: Anchoring) -> tuple[ScoreStatus, tuple[str, ...]]:
    """The status of one row and why it is not better."""
    prompts, basis = int(quality.means.n_prompts[g]), quality.basis[g]
    said: list[str] = []
    if anchoring.hopeless and basis is not Basis.NONE:
        return ScoreStatus.EXTRAPOLATING, (
            "no level is given: the anchors do not stand for this traffic (see the warnings of the table)",
        )
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
    said: list[str] = []
    if frame.simulated:
        said.append("the verdicts are simulated: nothing here is a measurement")
    said += _about_anchors(anchoring)
    if quality.means.power.lam == 0 and quality.means.n_anchors.sum():
        said.append("the panel does not follow the human grades: estimates rest on human grades alone")
    return tuple(said)


def _about_anchors(anchoring: Anchoring) -> list[str]:
    said: list[str] = []
    if anchoring.partly_logged:
        said.append("inclusion probabilities are known for some anchors only, so they are not used")
    if anchoring.test.p_value is None:
        if anchoring.test.prompts:
            said.append("too few graded prompts to tell whether the anchors look like the traffic")
        return said
    if not anchoring.flagged:
        return said
    k = int(abs(anchoring.test.z).argmax())
    where = "more" if anchoring.test.shift[k] > 0 else "less"
    found = (
        f"the anchors do not look like the traffic (p = {anchoring.test.p_value:.2g}; most of all "
        f"{anchoring.feature}, {where} of it among the anchors)"
    )
    if anchoring.hopeless:
        said.append(f"{found}, and no weights can mend it: grade some of what the anchors leave out")
    elif anchoring.weight is not None and not anchoring.logged:
        said.append(
            f"{found}: they are weighted to look like it, and count as {anchoring.effective_size:.0f} grades"
        )
    elif anchoring.weight is not None:
        said.append(f"{found}, beyond what their logged inclusion probabilities explain: weights adjusted")
    else:
        said.append(f"{found}: read the levels with care")
    return said
