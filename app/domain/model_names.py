"""Whether a grade's provenance names a person or a model. Anchors are the measure, so models are refused.

The test is by words, not by letters: "user" does not hold "ai", and "author_consensus" is no "sus". In
the annotator's type and name any model word counts, unless the words also say a human profession
("ai_engineer") and nothing denies it ("not_human"). A source is free text about data, so there a model
word beside words for people ("GPT-4 answers rated by crowd workers") is let through.
"""

import re
from functools import lru_cache
from itertools import pairwise


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_LINEAGES = _set("""
    gpt chatgpt claude gemini gemma bard palm llama mistral mixtral magistral ministral qwen qwq
    deepseek grok vicuna alpaca falcon bloom bloomz opt pythia dolly orca beluga pandalm prometheus
    autoj jamba kimi moonshot glm ernie hunyuan nemotron davinci sonnet opus haiku copilot smollm olmo
    tulu exaone granite internlm baichuan doubao minimax wizardlm zephyr starling commandr
""")
_MAKERS = _set(
    "openai anthropic deepmind mistralai cohere xai huggingface bedrock vertex ollama vllm litellm"
)
_ALWAYS = _set("llm llms slm vlm lm llmjudge synthetic simulated simulation aigenerated")
_GIVEN_NAMES = _set("claude gemma bard")
_MADE_UP = _set("synthetic simulated artificial virtual")
_KINDS = _set("""
    oracle model models ai bot bots chatbot judge judges machine automatic automated auto
    autograder autorater algorithm classifier neural generated script pipeline reward
""")
_PEOPLE = _set("""
    human humans person persons people engineer engineers researcher researchers scientist scientists
    developer developers student students teacher teachers professor lawyer lawyers physician physicians
    doctor doctors nurse nurses linguist linguists volunteer volunteers employee employees
""")
_CROWDS = _PEOPLE | _set("""
    crowd crowdworkers crowdsourced mturk turk prolific worker workers expert experts annotators
    annotator author authors user users customer customers reviewer reviewers raters votes voters staff
    team
""")
_DENIALS = _set("not non no without un nonhuman unhuman versus")
_GENERIC = _set("""
    annotator annotators annotation annotations rater raters rating ratings grader graders grade grades
    label labels labeler labeller score scores by from the a an of our my and with via api v version data
    dataset eval evaluator evaluation preview turbo mini nano pro flash large small medium base chat
    instruct it latest
""")
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_]+")


def words_of(text: str) -> list[str]:
    """The words of a name: split at punctuation, digits and changes of case, in lower case."""
    return [word.lower() for word in _WORD.findall(text)]


@lru_cache(maxsize=4096)
def names_a_model(text: str) -> str | None:
    """The word of an annotator's type or name that names a model, or None if it names people."""
    words = words_of(text)
    joined = re.sub(r"[\W\d_]+", "", text.lower())
    denied = not _DENIALS.isdisjoint(words)
    for word in (*words, joined):
        if word in _ALWAYS or word in _MAKERS:
            return word
    lineage = next((word for word in (*words, joined) if word in _LINEAGES), None)
    if lineage is not None and not _is_a_person(words, lineage):
        return lineage
    kind = next((word for word in words if word in _KINDS), None)
    if kind is not None and (denied or _PEOPLE.isdisjoint(words)):
        return kind
    if denied and not _CROWDS.isdisjoint(words):
        return text.strip()
    return None


@lru_cache(maxsize=4096)
def source_is_a_model(text: str) -> str | None:
    """The word of a source that says a model gave the grades, or None."""
    words = words_of(text)
    for made_up, who in pairwise(words):
        if made_up in _MADE_UP and who in _CROWDS:
            return f"{made_up} {who}"
    people = not _CROWDS.isdisjoint(words) and _DENIALS.isdisjoint(words)
    if people:
        return None
    for word in words:
        if word in _ALWAYS or (word in _LINEAGES and not _is_a_person(words, word)):
            return word
    telling = [word for word in words if word not in _GENERIC]
    if telling and all(word in _KINDS or word in _MAKERS for word in telling):
        return telling[0]
    return None


def _is_a_person(words: list[str], lineage: str) -> bool:
    """Claude and Gemma are also people: with another name beside it, and no model word, it is a person's."""
    others = [word for word in words if word != lineage and len(word) > 1]
    models = _LINEAGES | _MAKERS | _ALWAYS | _KINDS | _GENERIC
    return lineage in _GIVEN_NAMES and bool(others) and models.isdisjoint(others)
