"""Names of the tensors that cross Triton, each written once: server, client, exported graphs and tests use these.

Shapes, types and meaning of each are in `docs/architecture.md`; a model's whole signature is built in `respray.triton.repository.configs`.
Plain strings, so that whoever only talks to the server loads nothing more.
"""

from __future__ import annotations

# Inputs of `pipeline_bls` and of `applier`.
PHOTO = "photo"
REQUEST = "request"
ATTACHMENTS = "attachments"
ATTACHMENT_SIZES = "attachment_sizes"
# What `pipeline_bls` hands on to `applier` as it came.
PASSED_ON = (REQUEST, ATTACHMENTS, ATTACHMENT_SIZES)
# Inputs of `applier` beside the decoded photo: its own alpha, where it has one, and `PhotoFacts` as JSON.
ALPHA = "alpha"
FACTS = "facts"

# Outputs of `applier` and of `pipeline_bls`.
FILES = "files"
FILE_SIZES = "file_sizes"
REPORT = "report"
RESULTS = (FILES, FILE_SIZES, REPORT)

# `sam3_image_encoder`: the photo's square to feature maps of 4g, 2g and g on a side.
IMAGE = "image"
FEATURES_HIGH = "features_high"
FEATURES_MID = "features_mid"
FEATURES_LOW = "features_low"
FEATURES = (FEATURES_HIGH, FEATURES_MID, FEATURES_LOW)

# Of exports that take boxes: the lowest map before the prompt-free layer.
FEATURES_PLAIN = "features_plain"

# `sam3_geometry_encoder`: boxes and text to prompts, which the decoder takes in place of text.
BOX_PROMPTS = "box_prompts"
BOX_LABELS = "box_labels"
PROMPT_FEATURES = "prompt_features"
PROMPT_MASK = "prompt_mask"

# `sam3_text_encoder`: tokens to features.
INPUT_IDS = "input_ids"
ATTENTION_MASK = "attention_mask"
TEXT_FEATURES = "text_features"

# `sam3_concept_decoder`, beside the features above; `TEXT_MASK` is the tokenizer's `ATTENTION_MASK` of every concept.
TEXT_MASK = "text_mask"
MASKS = "masks"
SCORES = "scores"
BOXES = "boxes"
PRESENCE = "presence"
REGION = "region"
SEGMENTS = (MASKS, SCORES, BOXES, PRESENCE, REGION)
