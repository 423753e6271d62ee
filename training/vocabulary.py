"""Words the demo model is trained on, and its tokenizer.

A word that the model was never shown must tokenise and must be answered with "not there": hence a byte-level BPE that
falls back to bytes, and foreign words and letter salad among the negatives of every training step.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from training.arrays import Ints

MAX_TOKENS = 32

SYNONYMS: dict[str, tuple[str, ...]] = {
    "floor": (
        "floor",
        "floor",
        "flooring",
        "hardwood floor",
        "wooden floor",
        "floors",
        "tile floor",
        "floor tiles",
        "parquet",
        "laminate floor",
        "ground",
    ),
    "wall": ("wall", "wall", "walls", "room wall", "painted wall", "interior wall"),
    "ceiling": ("ceiling", "ceiling", "ceilings", "room ceiling"),
    "window": ("window", "window", "windows", "window pane", "glass window"),
    "door": ("door", "door", "doors", "interior door", "wooden door"),
    "curtain": ("curtain", "curtain", "curtains", "drapes", "drape", "window curtain", "blinds", "shade"),
    "sofa": ("sofa", "sofa", "couch", "sofas", "settee", "armchair", "upholstered sofa"),
    "bed": ("bed", "bed", "beds", "bedding", "double bed"),
    "rug": ("rug", "rug", "carpet rug", "area rug", "rugs"),
    "table": ("table", "table", "tables", "coffee table", "dining table", "desk", "side table", "nightstand"),
    "chair": ("chair", "chair", "chairs", "dining chair", "seat"),
    "picture": ("picture", "picture", "painting", "picture frame", "pictures", "wall art", "artwork", "poster"),
    "plant": ("plant", "plant", "plants", "potted plant", "houseplant", "flowers"),
    "lamp": ("lamp", "lamp", "lamps", "light", "floor lamp", "ceiling lamp", "pendant lamp", "light fixture"),
    "baseboard": (
        "baseboard",
        "baseboard",
        "molding",
        "frame molding",
        "moldings",
        "skirting",
        "skirting board",
        "moulding",
        "crown molding",
        "trim",
    ),
    "cabinet": ("cabinet", "cabinet", "cabinets", "shelf", "shelves", "bookshelf", "cupboard", "wardrobe", "dresser", "kitchen cabinet"),
}

# Nothing of this is ever in a scene (things that may stand there unlabelled, like books or a stove, are left out).
ABSENT = (
    "person",
    "people",
    "man",
    "woman",
    "child",
    "baby",
    "dog",
    "cat",
    "bird",
    "horse",
    "cow",
    "sheep",
    "car",
    "truck",
    "bus",
    "bicycle",
    "motorcycle",
    "train",
    "airplane",
    "boat",
    "ship",
    "traffic",
    "stop",
    "sign",
    "bridge",
    "road",
    "street",
    "sidewalk",
    "grass",
    "mountain",
    "river",
    "beach",
    "sea",
    "snow",
    "rain",
    "cloud",
    "sun",
    "moon",
    "star",
    "fire",
    "smoke",
    "bathtub",
    "toilet",
    "shower",
    "washing",
    "machine",
    "piano",
    "guitar",
    "violin",
    "drum",
    "television",
    "laptop",
    "keyboard",
    "mouse",
    "phone",
    "camera",
    "printer",
    "robot",
    "pizza",
    "apple",
    "banana",
    "orange",
    "bread",
    "cheese",
    "cake",
    "sandwich",
    "burger",
    "soup",
    "coffee",
    "cup",
    "wine",
    "bottle",
    "spoon",
    "fork",
    "knife",
    "hat",
    "shoe",
    "shirt",
    "dress",
    "jacket",
    "watch",
    "ring",
    "necklace",
    "umbrella",
    "backpack",
    "suitcase",
    "ball",
    "bat",
    "racket",
    "skateboard",
    "surfboard",
    "kite",
    "ski",
    "helmet",
    "sword",
    "gun",
    "computer",
    "server",
    "engine",
    "wheel",
    "tire",
    "wing",
    "rocket",
    "satellite",
    "elephant",
    "lion",
    "tiger",
    "bear",
    "zebra",
    "giraffe",
    "monkey",
    "snake",
    "fish",
    "shark",
    "whale",
    "spider",
    "butterfly",
    "bee",
    "grout",
    "product",
    "shadow",
    "logo",
    "text",
    "letter",
    "number",
    "flag",
    "statue",
    "fountain",
    "swimming",
    "pool",
    "tent",
    "castle",
    "tower",
    "church",
    "factory",
    "stadium",
    "tractor",
    "helicopter",
    "tank",
    "candle",
    "clock",
    "mirror",
    "fireplace",
    "stairs",
    "railing",
    "ladder",
    "bucket",
    "broom",
    "towel",
    "soap",
    "toothbrush",
    "scissors",
    "hammer",
    "screwdriver",
    "drill",
    "saw",
    "nail",
    "rope",
    "chain",
    "barrel",
    "crate",
    "pallet",
    "brick",
    "pile",
    "fan",
    "radiator",
    "air",
    "conditioner",
    "radio",
    "microphone",
    "speaker",
    "headphones",
)

_ARTICLES = ("", "", "", "", "the ", "a ", "my ", "this ")


def positive_prompt(concept: str, rng: np.random.Generator) -> str:
    """A way to ask for a concept."""
    words = SYNONYMS[concept]
    return str(rng.choice(_ARTICLES)) + words[int(rng.integers(len(words)))]


def foreign_prompt(rng: np.random.Generator) -> str:
    """A thing that is in no scene, or no word at all."""
    p = rng.random()
    if p < 0.65:
        known = {w for words in SYNONYMS.values() for phrase in words for w in phrase.split()}
        word = ABSENT[int(rng.integers(len(ABSENT)))]
        while word in known:
            word = ABSENT[int(rng.integers(len(ABSENT)))]
        return str(rng.choice(_ARTICLES)) + word
    letters = "aaabcdeeefghiiijklmnooopqrrsstttuuvwxyz"
    n = int(rng.integers(3, 11))
    return "".join(letters[int(i)] for i in rng.integers(0, len(letters), n))


def build_tokenizer(vocab_size: int = 1024) -> Tokenizer:
    """Byte-level BPE with CLIP's layout: start, tokens, end, padded to 32, lower case."""
    tok = Tokenizer(models.BPE(unk_token="<|unk|>"))
    tok.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase(), normalizers.Strip()])
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tok.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
        special_tokens=["<|pad|>", "<|startoftext|>", "<|endoftext|>", "<|unk|>"],
    )
    phrases = [a + w for words in SYNONYMS.values() for w in words for a in ("", "the ", "a ")] * 8 + list(ABSENT) * 3
    tok.train_from_iterator(phrases, trainer)
    tok.post_processor = processors.TemplateProcessing(
        single="<|startoftext|> $A <|endoftext|>", special_tokens=[("<|startoftext|>", 1), ("<|endoftext|>", 2)]
    )
    tok.enable_truncation(MAX_TOKENS)
    tok.enable_padding(length=MAX_TOKENS, pad_id=0, pad_token="<|pad|>")
    return tok


def save_tokenizer(tok: Tokenizer, folder: Path) -> None:
    """Write tokenizer.json and tokenizer_config.json as transformers reads them."""
    tok.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": MAX_TOKENS,
        "pad_token": "<|pad|>",
        "bos_token": "<|startoftext|>",
        "eos_token": "<|endoftext|>",
        "unk_token": "<|unk|>",
        "clean_up_tokenization_spaces": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")


def encode(tok: Tokenizer, prompts: list[str]) -> tuple[Ints, Ints]:
    """Token ids and attention mask, int64 (N, 32) each."""
    enc = tok.encode_batch(prompts)
    return np.array([e.ids for e in enc], np.int64), np.array([e.attention_mask for e in enc], np.int64)
