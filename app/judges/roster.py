"""Which judges exist, by family; the only module that names concrete providers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from json import dumps
from pathlib import Path

from app.domain.judging import JudgeVersion
from app.domain.problems import BadInput, Problem
from app.judges.config import JudgeConfig, JudgesFile, read_judges_file
from app.judges.judge import Judge
from app.judges.lines import Lines
from app.judges.planted_effects import Effects
from app.judges.providers.recorded import recorded_judge
from app.judges.providers.simulated import SimulatedJudge

# Importing an SDK takes one to two seconds: only a roster that calls a provider pays for it.


def _openai_chat(config: JudgeConfig, lines: Lines) -> Judge:
    from app.judges.providers.openai_chat import openai_chat_judge

    return openai_chat_judge(config, lines)


def _openai_responses(config: JudgeConfig, lines: Lines) -> Judge:
    from app.judges.providers.openai_responses import openai_responses_judge

    return openai_responses_judge(config, lines)


def _anthropic(config: JudgeConfig, lines: Lines) -> Judge:
    from app.judges.providers.anthropic import anthropic_judge

    return anthropic_judge(config, lines)


PROVIDER_FACTORIES: Mapping[str, Callable[[JudgeConfig, Lines], Judge]] = {
    "openai": _openai_chat,
    "openai-compatible": _openai_chat,
    "openai-responses": _openai_responses,
    "anthropic": _anthropic,
    "recorded": lambda config, lines: recorded_judge(config),
    "simulated": lambda config, lines: SimulatedJudge(config),
}
"""One entry per provider of `judges.toml`; ``lines`` are what judges of one endpoint share."""


@dataclass(frozen=True, slots=True)
class RosterEntry:
    """A judge as configured, and the judge itself; ``judge`` is None where it is not enabled."""

    config: JudgeConfig
    judge: Judge | None


@dataclass(frozen=True, slots=True)
class Roster:
    """All judges. ``simulated`` says that they are simulated: rosters never mix the two kinds.

    ``warnings`` are what an operator should know at start-up.
    """

    entries: tuple[RosterEntry, ...]
    simulated: bool = False
    warnings: tuple[str, ...] = ()
    lines: Lines = field(default_factory=Lines)

    def judges(self) -> tuple[Judge, ...]:
        """The enabled judges, in the order of the file."""
        return tuple(entry.judge for entry in self.entries if entry.judge is not None)

    def versions(self) -> tuple[JudgeVersion, ...]:
        """Who may be drawn."""
        return tuple(judge.version for judge in self.judges())

    def by_family(self) -> dict[str, tuple[Judge, ...]]:
        """The enabled judges of each family."""
        families: dict[str, tuple[Judge, ...]] = {}
        for judge in self.judges():
            families[judge.version.family] = (*families.get(judge.version.family, ()), judge)
        return families

    def judge(self, name: str) -> Judge:
        """The enabled judge of that name; KeyError with the names there are if there is none."""
        for judge in self.judges():
            if judge.version.name == name:
                return judge
        names = [judge.version.name for judge in self.judges()]
        raise KeyError(f"the roster has no judge {name!r} that is enabled; it has {names}")

    async def close(self) -> None:
        """Close every connection to a provider."""
        await self.lines.close()


def build_roster(
    configs: Sequence[JudgeConfig], *, lines: Lines | None = None, warnings: tuple[str, ...] = ()
) -> Roster:
    """Make the enabled judges.

    Raises
    ------
    BadInput
        With everything that is wrong with any judge's parameters.
    """
    lines = lines or Lines()
    entries, problems = _make(configs, lines)
    kinds = {config.provider == "simulated" for config in configs if config.enabled}
    if len(kinds) > 1:
        problems.append(Problem("simulated judges may not stand on a roster with others", "judges"))
    if problems:
        raise BadInput("the roster cannot be used", problems)
    return Roster(tuple(entries), kinds == {True}, warnings, lines)


def open_roster(path: Path, environment: Mapping[str, str]) -> Roster:
    """Read `judges.toml` and make its judges.

    Raises
    ------
    BadInput
        With every mistake of the file and of its judges' parameters.
    """
    file: JudgesFile = read_judges_file(path, environment)
    lines = Lines()
    entries, problems = _make(file.judges, lines)
    if file.problems or problems:
        raise BadInput(f"the roster {path} cannot be used", [*file.problems, *problems])
    simulated = any(entry.config.provider == "simulated" for entry in entries if entry.judge is not None)
    return Roster(tuple(entries), simulated, file.warnings, lines)


def _make(configs: Sequence[JudgeConfig], lines: Lines) -> tuple[list[RosterEntry], list[Problem]]:
    entries: list[RosterEntry] = []
    problems: list[Problem] = []
    for config in configs:
        judge: Judge | None = None
        if config.enabled:
            try:
                judge = PROVIDER_FACTORIES[config.provider](config, lines)
            except BadInput as bad:
                problems += [
                    replace(p, path=f"judges.{config.name}.{p.path or 'params'}") for p in bad.problems
                ]
        entries.append(RosterEntry(config, judge))
    return entries, problems


SIMULATED_EFFECTS: Mapping[str, Mapping[str, Effects]] = {
    "alder": {
        "alder-1": Effects(severity=-0.4, discrimination=1.1, length=0.25, own_family=0.5, position=0.3),
        "alder-2": Effects(severity=0.1, discrimination=0.8, noise=0.6, own_family=0.3, position=0.1),
    },
    "birch": {
        "birch-1": Effects(severity=0.6, discrimination=1.0, length=-0.1, position=0.6, tie=0.4),
        "birch-2": Effects(severity=0.2, discrimination=0.6, noise=0.7, retest_noise=0.4, position=-0.2),
    },
    "cedar": {
        "cedar-1": Effects(severity=0.0, discrimination=1.3, length=0.4, own_family=0.2, tie=0.2),
        "cedar-2": Effects(severity=-0.7, discrimination=0.9, unscored_rate=0.03, position=0.9),
    },
}
"""What is planted in the built-in judges: families are woods, so that nobody takes them for vendors."""

_FAMILY_NOISE = 0.3  # judges of one family err alike, as real ones do


def simulated_roster(seed: int = 0) -> Roster:
    """The built-in roster: two simulated judges in each of three families, for when none is configured."""
    configs = [
        JudgeConfig(
            name=name,
            family=family,
            provider="simulated",
            model=name,
            params=_params(replace(effects, seed=seed, family_noise=_FAMILY_NOISE)),
        )
        for family, judges in SIMULATED_EFFECTS.items()
        for name, effects in judges.items()
    ]
    warning = (
        "no judges are configured: built-in simulated judges answer, whose verdicts mean nothing; name a "
        "judges.toml in VENIRE_JUDGES to use real ones"
    )
    return build_roster(configs, warnings=(warning,))


def _params(effects: Effects) -> str:
    """Effects as a judge's parameters, those at their default left out."""
    default = Effects()
    names = sorted(Effects.__slots__)
    values = {
        name: getattr(effects, name) for name in names if getattr(effects, name) != getattr(default, name)
    }
    return dumps(values, sort_keys=True, separators=(",", ":"))
