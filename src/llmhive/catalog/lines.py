"""What words in the ids of models mean: a table for people to extend.

An id is read word by word (`identity` does it). A word that no table and no pattern knows belongs to the name of the
line. A new line of models is one more word in `LINES`; a new tier is one more in `SIZES`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Role = Literal["line", "size", "edition"]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: Tiers. Counts of parameters (``70b``, ``8x7b``, ``a22b``) are a pattern, not words.
SIZES = _words(
    """
    nano micro tiny mini small medium large huge xl lite light flash air fast turbo instant edge standard std hd
    quality pro plus max ultra super premier haiku sonnet opus fable scout maverick
    """
)

#: How a model was finished, or how far that is; not what it is for.
EDITIONS = _words(
    """
    latest preview alpha beta exp experimental base instruct chat it ft dpo hf fp16 moe free online high extended
    think thinking reasoning
    """
)


def _own(*, line: str = "", size: str = "", edition: str = "") -> dict[str, Role]:
    roles: tuple[tuple[Role, str], ...] = (("line", line), ("size", size), ("edition", edition))
    return {word: role for role, words in roles for word in words.split()}


#: What a word means in the ids of one author, where elsewhere it means nothing or something else.
OWN: Mapping[str, Mapping[str, Role]] = {
    "baai": _own(line="m3", size="base", edition="en"),
    "black-forest-labs": _own(size="flex klein"),
    "cognitivecomputations": _own(edition="venice edition"),
    "deepseek": _own(edition="speciale terminus zero"),
    "google": _own(size="bison clip", edition="customtools"),
    "intfloat": _own(line="e5", size="base"),
    "nousresearch": _own(edition="theta"),
    "openai": _own(size="ada luna sol terra", edition="deep research search"),
    "perplexity": _own(edition="deep research search"),
    "poolside": _own(size="xs s m"),
    # there l6 counts layers
    "sentence-transformers": _own(size="l6 l12 base", edition="dot"),
    "thenlper": _own(size="base"),
    "thudm": _own(edition="rumination"),
    "x-ai": _own(edition="multi agent"),
    "zyphra": _own(edition="hybrid transformer"),
}

#: Letters before a number that only say: a version follows.
VERSION_MARKS = frozenset({"v", "mk"})

#: Letters before a number that name the version of the model underneath: ``l3.1`` is Llama 3.1.
BASE_MARKS = frozenset({"l"})

#: Letters behind a number that are a word of the line (``4.5v`` sees); others belong to the number: ``4o``, ``3n``.
TAILS = frozenset({"v"})

#: Models that others build on, and whose they are. Their names leave a line that counts its own generations.
BASES: Mapping[str, frozenset[str]] = {
    "deepseek": frozenset({"deepseek"}),
    "gemma": frozenset({"google"}),
    "glm": frozenset({"thudm", "z-ai"}),
    "llama": frozenset({"meta", "meta-llama"}),
    "mistral": frozenset({"mistral", "mistralai"}),
    "mixtral": frozenset({"mistral", "mistralai"}),
    "phi": frozenset({"microsoft"}),
    "qwen": frozenset({"qwen"}),
    "qwq": frozenset({"qwen"}),
    "yi": frozenset({"01-ai"}),
}

#: Words that make a line of their own out of a known line: what it is for.
SPECIALITIES = _words(
    """
    apply asr audio code codechat codex coder content creative dev distill embed embedding guard image imagine linear
    multimodal next ocr omni oss prover rerank rp safeguard safety search speech stt transcribe tts utility v vector
    video vision vl voice
    """
)

#: Lines that aliases name by less than their whole name.
SHORT: Mapping[str, str] = {"moonshotai/kimi": "moonshotai/kimi-k"}

#: Author → the lines we know, without specialities: ``gpt`` stands for ``gpt-image`` too. One that is named with its
#: base model keeps it, generation or not.
LINES: Mapping[str, frozenset[str]] = {
    author: _words(lines)
    for author, lines in {
        "01-ai": "yi",
        "agentica-org": "deepcoder",
        "ai21": "jamba",
        "aion-labs": "aion",
        "alibaba": "happyhorse tongyi-deepresearch wan",
        "all-hands": "openhands-lm",
        "allenai": "molmo olmo tulu",
        "alpindale": "goliath magnum",
        "amazon": "nova",
        "anthracite-org": "magnum",
        "anthropic": "claude",
        "arcee-ai": "afm arcee-blitz caller coder maestro spotlight trinity virtuoso",
        "arliai": "arliai-rpr",
        "baai": "bge bge-m3",
        "baidu": "cobuddy ernie qianfan",
        "black-forest-labs": "flux",
        "bytedance": "seed seedance ui-tars",
        "bytedance-research": "ui-tars",
        "bytedance-seed": "seed seedream",
        "canopylabs": "orpheus",
        "cognitivecomputations": "dolphin",
        "cohere": "command command-a command-r north rerank",
        "databricks": "dbrx",
        "deepcogito": "cogito",
        "deepgram": "aura nova",
        "deepseek": "deepseek deepseek-r",
        "eleutherai": "llemma",
        "essentialai": "rnj",
        "eva-unit-01": "eva",
        "featherless": "qwerky",
        "fish-audio": "s transcribe",
        "google": "chirp gemini gemma learnlm lyria palm veo",
        "gryphe": "mythomax mythomist",
        "hexgrad": "kokoro",
        "huggingfaceh4": "zephyr",
        "ibm-granite": "granite",
        "inception": "mercury",
        "inclusionai": "ling ring",
        "inflection": "inflection-pi inflection-productivity",
        "intfloat": "e5 multilingual-e5",
        "jondurbin": "airoboros",
        "krea": "krea",
        "kwaipilot": "kat",
        "kwaivgi": "kling kling-video-o",
        "latitudegames": "wayfarer",
        "liquid": "lfm",
        "mancer": "weaver",
        "mattshumer": "reflection",
        "meituan": "longcat",
        "meta": "muse-spark",
        "meta-llama": "llama",
        "microsoft": "mai mai-ds-r phi wizardlm",
        "minimax": "hailuo minimax minimax-m minimax-m-her speech",
        "mistral": "ministral",
        "mistralai": "codestral codestral-mamba devstral magistral ministral mistral mistral-nemo mistral-saba mixtral "
        "pixtral voxtral",
        "moonshotai": "kimi kimi-k moonlight",
        "morph": "morph",
        "neversleep": "llama-lumimaid noromaid",
        "nex-agi": "nex-n",
        "nousresearch": "deephermes hermes meta-llama nous-hermes",
        "nvidia": "llama-nemotron nemotron parakeet-tdt",
        "open-r1": "olympiccoder",
        "openai": "chatgpt codex gpt o sora text-embedding whisper",
        "openchat": "openchat",
        "opengvlab": "internvl",
        "openrouter": "auto bodybuilder free fusion pareto",
        "perceptron": "perceptron",
        "perplexity": "llama-sonar pplx r sonar",
        "poolside": "laguna",
        "prime-intellect": "intellect",
        "pygmalionai": "mythalion",
        "qwen": "qvq qwen qwq",
        "recraft": "recraft",
        "reka": "reka",
        "rekaai": "reka",
        "relace": "relace",
        "runway": "aleph gen",
        "sakana": "fugu",
        "sao10k": "euryale fimbulvetr hanami-x lunaris",
        "sarvamai": "sarvam-m",
        "scb10x": "typhoon",
        "sentence-transformers": "all-minilm all-mpnet multi-qa-mpnet paraphrase-minilm",
        "sesame": "csm",
        "shisa-ai": "shisa",
        "sophosympatheia": "midnight-rose rogue-rose",
        "sourceful": "riverflow",
        "stepfun": "step",
        "stepfun-ai": "step",
        "switchpoint": "router",
        "teknium": "openhermes",
        "tencent": "hunyuan hy",
        "thedrummer": "anubis cydonia rocinante skyfall unslopnemo valkyrie",
        "thenlper": "gte",
        "thinkingmachines": "inkling",
        "thudm": "glm glm-z",
        "tngtech": "deepseek-r1t-chimera tng-r1t-chimera",
        "tokyotech-llm": "swallow",
        "undi95": "remm-slerp toppy-m",
        "upstage": "solar",
        "venice": "uncensored",
        "voyageai": "rerank voyage",
        "writer": "palmyra-x",
        "x-ai": "grok grok-build",
        "xiaomi": "mimo",
        "xwin-lm": "xwin-lm",
        "z-ai": "glm",
        "zyphra": "zonos",
    }.items()
}
