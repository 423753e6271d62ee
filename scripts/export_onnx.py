"""Export a SAM3 checkpoint as ONNX graphs, check them against PyTorch and describe them in spec.json.

python scripts/export_onnx.py --checkpoint demo --out respray/weights/demo/graphs
python scripts/export_onnx.py --checkpoint facebook/sam3 --precision fp16 --out /models/sam3-fp16

The installed package has the same command as `python -m respray.segmentation.export`, without the demo's checkpoint, which is here only.
"""

import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from respray.segmentation.export.__main__ import main  # noqa: E402 (a script of the checkout)

if __name__ == "__main__":
    main(demo_checkpoint=PROJECT / "models" / "demo" / "checkpoint")
