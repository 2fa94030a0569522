"""The overlap audit at a million short documents: time, peak memory, recall and precision of what is planted.

Corpus: posts of a support forum made by templates, of the same subjects and words as the anchors (which makes
false alarms as likely as can be), 15 to 50 words. Anchors: 400 such posts that are not in it, and the 40
questions below. Planted at random places, for 80 anchors each: copies (the same words in other case,
punctuation and layout); edits (a tenth of the words replaced, a phrase put before or after); the anchor
within a longer text; its clauses in another order with a fifth of the words replaced; one clause of three
(which should not count). And for each of the 40 questions one that asks the same in other words.

Recall: of the anchors of a kind, those for which the planted document is reported. Precision: of the pairs
reported, those of a planted document (the one clause apart).

    python -m benchmarks.overlap [--documents 1000000] [--model FOLDER]

``--model``: a folder with model.onnx and tokenizer.json (docs/audits.md); every document is then read by it.
"""

import argparse
import asyncio
import random
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from app.auditing.nearest import Document, Neighbours, Texts, find_neighbours
from app.auditing.overlap import ALIKE_BY_MEANING, ALIKE_BY_WORDS, OverlapParameters
from app.judges.embeddings import LocalEmbeddings

PARAPHRASES = (
    (
        "How do I cancel my subscription before the next payment?",
        "What steps end my plan so that I am not charged again?",
    ),
    (
        "My parcel has not arrived although tracking says delivered.",
        "The courier claims he handed over the package, but I never got it.",
    ),
    (
        "Can I get my money back for a broken kettle?",
        "Is a refund possible when the water boiler is defective?",
    ),
    (
        "Why is my internet so slow in the evening?",
        "What makes the connection crawl after dinner time?",
    ),
    (
        "Which documents do I need to open a bank account?",
        "What papers must I bring to become a customer of the bank?",
    ),
    (
        "How long does it take to charge the battery fully?",
        "When is the accumulator at a hundred percent after plugging in?",
    ),
    (
        "The app crashes every time I upload a photo.",
        "Whenever I try sending a picture, the program closes itself.",
    ),
    (
        "Is it safe to mix these two medicines?",
        "May both drugs be taken together without harm?",
    ),
    (
        "How can I change the language of the menu?",
        "Where do I switch the interface from German to English?",
    ),
    (
        "What is the cheapest way to send a letter abroad?",
        "Mailing something to a foreign country: which option costs least?",
    ),
    (
        "My landlord refuses to repair the heating.",
        "The owner of the flat will not fix the radiators.",
    ),
    (
        "How do I remove a coffee stain from a shirt?",
        "What gets spilled espresso out of clothing?",
    ),
    (
        "Do you offer discounts for students?",
        "Is there a reduced price for people at university?",
    ),
    (
        "The printer prints blank pages only.",
        "All sheets come out empty, nothing is on the paper.",
    ),
    (
        "What time does the museum close on Sunday?",
        "Until when can one visit the exhibition at the weekend?",
    ),
    (
        "How do I reset a forgotten password?",
        "I no longer know my login secret; how can I set a fresh one?",
    ),
    (
        "Can my dog travel with me on the train?",
        "Are pets allowed in the railway carriage?",
    ),
    (
        "Why did you charge me twice this month?",
        "There are two debits on my statement for one invoice.",
    ),
    (
        "How much water should a cactus get in winter?",
        "How often do I have to pour something on a desert plant when it is cold?",
    ),
    (
        "I want to speak to a human being.",
        "Please connect me with a real person instead of a robot.",
    ),
    (
        "Where can I park near the stadium?",
        "Is there somewhere to leave the car close to the football ground?",
    ),
    (
        "The dishwasher leaks at the bottom.",
        "Under the machine that cleans plates there is always a puddle.",
    ),
    (
        "How do I write a condolence card?",
        "What words are fitting when somebody has died?",
    ),
    (
        "Does the warranty cover a cracked screen?",
        "If the display is smashed, will the guarantee pay?",
    ),
    (
        "How can I lower my electricity bill?",
        "What helps to spend less on power each month?",
    ),
    (
        "Is breakfast included in the room price?",
        "Do I pay extra for the morning meal at the hotel?",
    ),
    (
        "My baby does not sleep through the night.",
        "The infant keeps waking up after midnight.",
    ),
    (
        "How do I delete my account for good?",
        "I would like all my data erased and my profile gone forever.",
    ),
    (
        "What is the deadline for the tax return?",
        "By which date must the yearly declaration reach the revenue office?",
    ),
    (
        "The bike's brakes squeal when it rains.",
        "In wet weather my bicycle makes an awful noise when stopping.",
    ),
    (
        "How many vacation days am I entitled to?",
        "What amount of paid leave can an employee take?",
    ),
    (
        "Can I return shoes that I have worn once?",
        "Will you take back footwear that has been on my feet a single time?",
    ),
    (
        "The flight was cancelled, what are my rights?",
        "My plane did not go; what does the airline owe me?",
    ),
    (
        "How do I boil an egg so that the yolk stays soft?",
        "Minutes in hot water for a runny centre?",
    ),
    (
        "Why does my phone get hot while charging?",
        "The mobile warms up a lot when it is plugged in.",
    ),
    (
        "Which size should I order if I am between two?",
        "I fall in the middle of medium and large: what fits?",
    ),
    (
        "How do I invite a colleague to the workspace?",
        "Adding a coworker to our team account: where is that?",
    ),
    (
        "The invoice shows the wrong company name.",
        "Our firm is misspelled on the bill you sent.",
    ),
    (
        "Is this plant poisonous for cats?",
        "Could a kitten fall ill from chewing those leaves?",
    ),
    (
        "How do I convert a PDF into a spreadsheet?",
        "I need the table of that document as an Excel file.",
    ),
)


def _listed(text: str) -> list[str]:
    return text.split("|")


_OPENING = _listed(
    "please help|hello|good morning|quick question|hi there|sorry to ask|for days now|since the update"
)
_SUBJECT = _listed(
    "my printer|the app|our account|the heating|my phone|the train|my parcel|the invoice|"
    "our landlord|the battery|my bicycle|the dishwasher|the hotel|my password|the plant|"
    "my subscription|the bank|our dog|the screen|my flight|the menu|a colleague|the tax return|"
    "my refund|the museum"
)
_VERB = _listed(
    "does not work|arrived late|closes itself|makes a noise|cannot be changed|was charged twice|"
    "gets hot|is still open|shows an error|has been cancelled|needs a repair|must be returned|"
    "costs too much|stays empty|is not included|was delivered|has no guarantee|leaks water|"
    "prints nothing|asks for a code"
)
_WHEN = _listed(
    "on sunday|in the evening|every month|since yesterday|after the update|before the payment|"
    "at night|in winter|when it rains|at the weekend|after dinner|since last week|twice a day|"
    "in the morning"
)
_ASK = _listed(
    "what can I do|how long does it take|who pays for that|where do I write to|"
    "can I get my money back|is that normal|which document do I need|when will it be fixed|"
    "do I have to call|why is that so|how do I change it|is there a discount"
)
_TAIL = _listed("thank you|many thanks|best regards|I am waiting|it is urgent|no hurry|as always")
_NAMES = [f"{a}{b}" for a in ("mira", "tom", "ella", "jan", "rosa", "finn", "ida", "ben") for b in range(40)]
_RARE = ["".join(random.Random(k).choices("aeioulnrst", k=4 + k % 5)) for k in range(20_000)]
_RARITY = list(np.cumsum(1 / np.arange(1, len(_RARE) + 1)))


def clause(rng: random.Random) -> str:
    """What is wrong with what, when; and a few words that hardly anybody else uses."""
    rare = rng.choices(_RARE, cum_weights=_RARITY, k=rng.randint(1, 4))
    return f"{rng.choice(_SUBJECT)} {' '.join(rare)} {rng.choice(_VERB)} {rng.choice(_WHEN)}"


def sentence(rng: random.Random) -> str:
    """A post."""
    parts = [rng.choice(_OPENING), clause(rng), clause(rng) if rng.random() < 0.7 else "", rng.choice(_ASK),
             f"order {rng.randrange(100_000)} for {rng.choice(_NAMES)}", rng.choice(_TAIL)]  # fmt: skip
    return ", ".join(part for part in parts if part)


def edited(text: str, rng: random.Random, share: float = 0.1) -> str:
    """That share of the words replaced, and a phrase before or after."""
    words = text.split()
    for place in rng.sample(range(len(words)), max(1, round(len(words) * share))):
        words[place] = rng.choice(_NAMES)
    return " ".join([*words, *rng.choice(_TAIL).split()] if rng.random() < 0.5 else ["also", *words])


def reordered(text: str, rng: random.Random) -> str:
    """The clauses in another order, a fifth of the words replaced."""
    parts = text.split(", ")
    return edited(", ".join(parts[1:][::-1] + parts[:1]), rng, 0.2)


def plant(rng: random.Random) -> tuple[list[str], dict[str, dict[int, str]]]:
    """Anchors, and per kind of planting what was made of which anchor."""
    anchors = [sentence(rng) for _ in range(400)] + [question for question, _ in PARAPHRASES]
    planted: dict[str, dict[int, str]] = {
        "copies": {k: anchors[k].upper().replace(",", " --") for k in range(80)},
        "edits": {k: edited(anchors[k], rng) for k in range(80, 160)},
        "within a longer text": {
            k: f"{sentence(rng)}. {anchors[k]}. {sentence(rng)}" for k in range(160, 240)
        },
        "reordered": {k: reordered(anchors[k], rng) for k in range(240, 320)},
        "paraphrases": {400 + k: other for k, (_, other) in enumerate(PARAPHRASES)},
        "one clause": {
            k: f"{sentence(rng)}, {anchors[k].split(', ')[1]}, {clause(rng)}" for k in range(320, 400)
        },
    }
    return anchors, planted


def corpus(count: int, planted: dict[int, str], rng: random.Random) -> Iterator[Document]:
    """Posts with the planted ones at random places; planted documents are named p0, p1, ..."""
    places = dict(zip(rng.sample(range(count), len(planted)), planted.items(), strict=True))
    for number in range(count):
        if number in places:
            yield Document(f"p{places[number][0]}", places[number][1])
        else:
            yield Document(str(number), sentence(rng))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--model", type=Path)
    arguments = parser.parse_args()
    rng = random.Random(7)
    anchors, planted = plant(rng)
    every = {k: text for made in planted.values() for k, text in made.items()}

    began = time.process_time()
    made = sum(1 for _ in corpus(20_000, {}, random.Random(8)))
    making = (time.process_time() - began) * arguments.documents / made
    began = time.process_time()
    meaning = None
    if arguments.model:
        model = LocalEmbeddings(arguments.model)
        meaning = lambda some: asyncio.run(model.vectors(some))  # noqa: E731
    found = find_neighbours(
        Texts(anchors), corpus(arguments.documents, every, rng), near=0.3, meaning=meaning
    )
    seconds = time.process_time() - began - making
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_000
    by = f"by {arguments.model.name}" if arguments.model else "by words"
    print(f"{found.read:,} documents, {len(anchors)} anchors, {by}: {seconds:.1f} CPU-s, "
          f"{seconds * 100_000 / found.read:.2f} per 100,000 (and {making:.0f} to make them)")  # fmt: skip
    print(f"peak memory of the process: {peak:,.0f} MB")
    least = ALIKE_BY_MEANING if arguments.model else ALIKE_BY_WORDS
    default = OverlapParameters().near
    for near in (0.3, 0.4, 0.5, 0.6, 0.7):
        report(f"near {near} alone", planted, found, found.near >= near)
    for alike in (0.4, 0.5, 0.6, 0.7, 0.8, 0.9):
        report(f"alike {alike} alone", planted, found, found.alike >= alike)
    both = (found.near >= default) | (found.alike >= least)
    report(f"the audit (near {default}, alike {least})", planted, found, both)
    paraphrases(planted["paraphrases"], found)


def report(how: str, planted: dict[str, dict[int, str]], found: Neighbours, hit: np.ndarray) -> None:
    """Recall of each kind and precision of all that is reported."""
    names = np.array([one.name for one in found.documents])[found.document]
    own = names == np.char.add("p", found.text.astype(str))
    recall = {kind: np.isin(list(made), found.text[hit & own]).mean() for kind, made in planted.items()}
    clauses = np.isin(found.text, list(planted["one clause"])) & own
    right, wrong = (hit & own & ~clauses).sum(), (hit & (~own | clauses)).sum()
    print(f"{how}: recall " + ", ".join(f"{kind} {value:.2f}" for kind, value in recall.items())
          + f"; {right + wrong:,} pairs reported, precision {right / max(right + wrong, 1):.3f}")  # fmt: skip


def paraphrases(made: dict[int, str], found: Neighbours) -> None:
    """Where the paraphrase stands among the documents most alike."""
    names = np.array([one.name for one in found.documents])
    ranks = []
    for k in made:
        mine = np.flatnonzero(found.text == k)
        mine = mine[np.argsort(-found.alike[mine], kind="stable")]
        place = np.flatnonzero(names[found.document[mine]] == f"p{k}")
        ranks.append(int(place[0]) if place.size else 999)
    ranks = np.array(ranks)
    first, five, kept = (float(np.mean(ranks < most)) for most in (1, 5, 20))
    print(f"paraphrases: likest of all {first:.2f}, among five {five:.2f}, among the twenty kept {kept:.2f}")


if __name__ == "__main__":
    main()
