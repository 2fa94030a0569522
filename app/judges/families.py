"""Which family a model belongs to, proposed from its name: a person confirms it in the roster."""

import re

_WORDS: tuple[tuple[str, str], ...] = (
    (r"gpt|chatgpt|davinci|o[1345](?=$|[-_. ])", "openai"),
    (r"claude", "anthropic"),
    (r"gemini|gemma|palm|learnlm", "google"),
    (r"llama|vicuna|alpaca", "llama"),
    (r"qwen|qwq|qvq", "qwen"),
    (r"mistral|mixtral|ministral|magistral|codestral|devstral|pixtral|zephyr", "mistral"),
    (r"deepseek", "deepseek"),
    (r"phi(?=$|[-_. \d])", "phi"),
    (r"smollm|smolvlm", "smollm"),
    (r"falcon", "falcon"),
    (r"command|aya(?=$|[-_. ])|c4ai", "cohere"),
    (r"grok", "grok"),
    (r"granite", "granite"),
    (r"olmo|tulu", "olmo"),
    (r"glm", "glm"),
    (r"kimi|moonshot", "kimi"),
    (r"minimax|abab", "minimax"),
    (r"yi(?=$|[-_. \d])", "yi"),
    (r"internlm", "internlm"),
    (r"nemotron|minitron", "nemotron"),
    (r"exaone", "exaone"),
    (r"lfm(?=$|[-_. \d])", "lfm"),
    (r"ernie", "ernie"),
    (r"hunyuan", "hunyuan"),
    (r"jamba", "jamba"),
    (r"stablelm", "stablelm"),
    (r"solar", "solar"),
    (r"baichuan", "baichuan"),
    (r"nova(?=$|[-_. ])|titan", "amazon"),
)
"""Words that open a name or a part of it -> family. Models that share a lineage share their biases:
what was trained from another's weights (Vicuna from Llama, Zephyr from Mistral) is of that family."""

_PATTERNS = tuple(
    (re.compile(rf"(?:^|(?<=[^a-z])|(?<=code)|(?<=tiny)|(?<=open))(?:{words})", re.IGNORECASE), family)
    for words, family in _WORDS
)


def propose_family(model: str) -> tuple[str, bool]:
    """A family for a model's name, and whether the name was recognised.

    Of several words the first in the name counts; an owner before a slash counts only if nothing else
    does. A name that says nothing is a family of its own.
    """
    own = short_name(model)
    for text in (own, model):
        hits = [(hit.start(), family) for pattern, family in _PATTERNS if (hit := pattern.search(text))]
        if hits:
            return min(hits)[1], True
    return own, False


def short_name(model: str) -> str:
    """A name for a judge from a model's id: without owner, folders, file ending or tag separators."""
    last = model.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]
    last = re.sub(r"\.(gguf|bin|safetensors)$", "", last, flags=re.IGNORECASE)
    return re.sub(r"[^A-Za-z0-9._-]+", "-", last).strip("-").lower() or "model"
