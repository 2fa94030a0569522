"""What is asked of a judge: versioned wording, criteria and their scales."""

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from hashlib import sha256


class RubricKind(StrEnum):
    """How answers are shown to a judge: one alone, two side by side, or several to be scored together."""

    POINTWISE = "pointwise"
    PAIRWISE = "pairwise"
    LISTWISE = "listwise"


@dataclass(frozen=True, slots=True)
class Scale:
    """Ordered values with equal steps.

    A labelled scale has the values 1, 2, ... in the order of its labels, and step 1.
    ``step`` is None for a continuous scale.
    """

    low: float
    high: float
    step: float | None = 1.0
    labels: tuple[str, ...] = ()

    @classmethod
    def of_labels(cls, labels: tuple[str, ...]) -> "Scale":
        return cls(low=1.0, high=float(len(labels)), step=1.0, labels=labels)

    def values(self) -> tuple[float, ...]:
        """Every value of a stepped scale, in order; empty for a continuous one."""
        if self.step is None:
            return ()
        count = round((self.high - self.low) / self.step)
        return tuple(self.low + k * self.step for k in range(count + 1))

    def holds(self, value: float) -> bool:
        """Whether ``value`` lies within the scale's ends; means of repeats may lie between steps."""
        return self.low <= value <= self.high

    def on_step(self, value: float) -> bool:
        """Whether ``value`` is one that a single verdict may take."""
        if not self.holds(value):
            return False
        if self.step is None:
            return True
        steps = (value - self.low) / self.step
        return abs(steps - round(steps)) < 1e-6

    def to_unit(self, value: float) -> float:
        """Map the scale's ends to 0 and 1."""
        return (value - self.low) / (self.high - self.low)

    def from_unit(self, unit: float) -> float:
        """The inverse of `to_unit`."""
        return self.low + unit * (self.high - self.low)


@dataclass(frozen=True, slots=True)
class Criterion:
    """One dimension of quality."""

    name: str
    description: str
    scale: Scale
    higher_is_better: bool = True


@dataclass(frozen=True, slots=True)
class Rubric:
    """The content of a rubric. Its version is counted by storage; the content never changes."""

    name: str
    kind: RubricKind
    instructions: str
    criteria: tuple[Criterion, ...]

    def canonical_json(self) -> str:
        """The content as JSON with sorted keys: equal content, equal text."""
        return json.dumps(asdict(self), sort_keys=True, ensure_ascii=False, separators=(",", ":"))

    def digest(self) -> str:
        """SHA-256 of the content, in hexadecimal."""
        return sha256(self.canonical_json().encode()).hexdigest()

    def criterion(self, name: str) -> Criterion:
        """The criterion of that name; KeyError with the names there are if it has none."""
        for criterion in self.criteria:
            if criterion.name == name:
                return criterion
        raise KeyError(
            f"rubric {self.name!r} has no criterion {name!r}; it has {[c.name for c in self.criteria]}"
        )

    @staticmethod
    def from_json(text: str) -> "Rubric":
        """The inverse of `canonical_json`."""
        raw = json.loads(text)
        return Rubric(
            name=raw["name"],
            kind=RubricKind(raw["kind"]),
            instructions=raw["instructions"],
            criteria=tuple(
                Criterion(
                    name=c["name"],
                    description=c["description"],
                    scale=Scale(
                        low=c["scale"]["low"],
                        high=c["scale"]["high"],
                        step=c["scale"]["step"],
                        labels=tuple(c["scale"]["labels"]),
                    ),
                    higher_is_better=c["higher_is_better"],
                )
                for c in raw["criteria"]
            ),
        )


@dataclass(frozen=True, slots=True)
class RubricVersion:
    """A rubric's content at one version, as stored."""

    id: int
    version: int
    rubric: Rubric
