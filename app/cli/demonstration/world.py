"""The made-up world of the demo: systems of known quality, their answers, and people who grade them.

Everything is drawn from one seed. Quality is in standard deviations over texts, as the effects planted in
simulated judges are; what people think of a text follows its `latent_quality`, which its words do not show.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import exp
from random import Random
from typing import Any

from app.domain.rubrics import Criterion, Scale
from app.judges.latent_quality import latent_quality, text_of_quality
from app.judges.planted_effects import on_scale, preference


@dataclass(frozen=True, slots=True)
class System:
    """What writes answers: its lineage, its mean quality (SD), its median length in words."""

    name: str
    family: str
    quality: float
    words: float


SYSTEMS = (
    System("alder-chat", "alder", -0.2, 170),
    System("alder-lite", "alder", -0.6, 80),
    System("birch-pro", "birch", 0.6, 50),
    System("birch-mini", "birch", -0.3, 40),
    System("cedar-max", "cedar", 0.2, 150),
    System("cedar-base", "cedar", -0.1, 90),
    System("oak-pro", "oak", 0.7, 40),
    System("oak-mini", "oak", 0.1, 35),
)
"""Two of each simulated judge's family and two of none; the wordy ones are not the best."""

PEOPLE = {"anna": 0.2, "ben": 0.35, "chidi": 0.45, "dana": 0.55, "emre": 0.65, "fay": 0.8}
"""The people of this world and how severe each is, in SD: on average half an SD more than the scale."""

HELPFULNESS = Criterion("helpfulness", "How far the answer solves the user's problem.", Scale(1, 5, 1))
CLARITY = Criterion("clarity", "How easily the answer is understood.", Scale(1, 5, 1))
CRITERIA = (HELPFULNESS, CLARITY)

PROMPT_SD = 0.4  # prompts differ in how well they are answered, by all systems alike
ANSWER_SD = 0.7  # and so do answers of one system to one prompt
WORDS_SPREAD = 0.5  # of the logarithm of an answer's length
PEOPLE_NOISE = 0.4  # of one person's judgement of one text, in SD
PEOPLE_TIE = 0.3  # answers that seem closer than this are a tie to people
POINTS_PER_SD = 1.0  # a quarter of the width of a scale from 1 to 5
BEST, SHORTEST = 3.2, 12
DOMAINS = ("account", "billing", "shipping")
GRADED = 4  # of the answers to each prompt, how many people grade
PAIRS, PAIRS_GRADED = 4, 2  # pairs per prompt that judges compare, and that people do


@dataclass(frozen=True, slots=True)
class Written:
    """One answer."""

    system: System
    text: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt with an answer of every system, in the order of `SYSTEMS`."""

    item_id: str
    text: str
    strata: dict[str, str]
    answers: tuple[Written, ...]


def write_prompts(count: int, seed: int) -> tuple[Prompt, ...]:
    """So many prompts and all answers to them."""
    return tuple(_prompt(number, Random(f"{seed} prompt {number}")) for number in range(1, count + 1))


def _prompt(number: int, rng: Random) -> Prompt:
    ease, domain = rng.gauss(0, PROMPT_SD), rng.choice(DOMAINS)
    answers = []
    for system in SYSTEMS:
        quality = system.quality + ease + rng.gauss(0, ANSWER_SD)
        words = max(round(system.words * exp(rng.gauss(0, WORDS_SPREAD))), SHORTEST)
        text = text_of_quality(min(max(quality, -BEST), BEST), rng, words, criterion=HELPFULNESS.name)
        answers.append(Written(system, text))
    strata = {"domain": domain, "difficulty": "hard" if ease < 0 else "easy"}
    return Prompt(
        f"q{number}", f"A made-up question about {domain}, number {number}.", strata, tuple(answers)
    )


def pairs_of(prompt: Prompt, seed: int) -> list[tuple[Written, Written]]:
    """The pairs of a prompt's answers that judges compare."""
    rng = Random(f"{seed} pairs {prompt.item_id}")
    return rng.sample(list(combinations(prompt.answers, 2)), PAIRS)


def pointwise_requests(prompts: Sequence[Prompt], seed: int, rubric: str) -> Iterator[dict[str, Any]]:
    """POST /grade for every answer."""
    for prompt in prompts:
        for answer in prompt.answers:
            yield _request(prompt, [answer], rubric, seed, both_orders=False)


def pairwise_requests(prompts: Sequence[Prompt], seed: int, rubric: str) -> Iterator[dict[str, Any]]:
    """POST /grade for every pair, which each judge sees in both orders."""
    for prompt in prompts:
        for pair in pairs_of(prompt, seed):
            yield _request(prompt, list(pair), rubric, seed, both_orders=True)


def _request(
    prompt: Prompt, answers: list[Written], rubric: str, seed: int, *, both_orders: bool
) -> dict[str, Any]:
    draw = Random(f"{seed} {rubric} {prompt.item_id} {[a.system.name for a in answers]}").getrandbits(52)
    return {
        "rubric": rubric,
        "item_id": prompt.item_id,
        "prompt": prompt.text,
        "strata": prompt.strata,
        "answers": [{"system": a.system.name, "family": a.system.family, "text": a.text} for a in answers],
        "panel": {"families": 3, "both_orders": both_orders, "seed": draw},
    }


def graded_answers(prompts: Sequence[Prompt], seed: int) -> Iterator[dict[str, Any]]:
    """Anchor rows: two people grade some answers of each prompt, drawn by lot, on every criterion."""
    for prompt in prompts:
        rng = Random(f"{seed} people {prompt.item_id}")
        for answer in rng.sample(prompt.answers, GRADED):
            for person in rng.sample(list(PEOPLE), 2):
                for criterion in CRITERIA:
                    seen = latent_quality(answer.text, criterion.name) - PEOPLE[person]
                    seen += rng.gauss(0, PEOPLE_NOISE)
                    yield {
                        **_provenance(prompt, person, seed, GRADED / len(SYSTEMS)),
                        "system": answer.system.name,
                        "criterion": criterion.name,
                        "score": on_scale(seen, criterion, POINTS_PER_SD / 4),
                    }


def graded_pairs(prompts: Sequence[Prompt], seed: int) -> Iterator[dict[str, Any]]:
    """Anchor rows: two people compare some of each prompt's pairs, drawn by lot."""
    verdicts = {1.0: "A", 0.0: "tie", -1.0: "B"}
    for prompt in prompts:
        rng = Random(f"{seed} pairs of people {prompt.item_id}")
        for first, second in rng.sample(pairs_of(prompt, seed), PAIRS_GRADED):
            gap = latent_quality(first.text, HELPFULNESS.name) - latent_quality(second.text, HELPFULNESS.name)
            for person in rng.sample(list(PEOPLE), 2):
                seen = gap + rng.gauss(0, PEOPLE_NOISE) - rng.gauss(0, PEOPLE_NOISE)
                yield {
                    **_provenance(prompt, person, seed, PAIRS_GRADED / PAIRS),
                    "system_a": first.system.name,
                    "system_b": second.system.name,
                    "criterion": HELPFULNESS.name,
                    "verdict": verdicts[preference(seen, PEOPLE_TIE)],
                }


def _provenance(prompt: Prompt, person: str, seed: int, probability: float) -> dict[str, Any]:
    return {
        "item_id": prompt.item_id,
        "annotator": person,
        "annotator_type": "simulated",
        "source": f"made-up people of venire demo, seed {seed}",
        "blind": True,
        "inclusion_probability": probability,
    }
