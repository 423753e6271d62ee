"""What the Runpod Hub looks for in a repository of serverless workers (https://docs.runpod.io/hub/publishing-guide).

The image starts `respray work` beside Triton by itself (respray/launch/container.py); this is the same intake, started by hand:

    python handler.py --rp_serve_api
"""

from __future__ import annotations

import os
import sys

from orchestrator.cli.app import main

if __name__ == "__main__":
    os.environ.setdefault("ADAPTER", "runpod")
    sys.argv[1:1] = ["work"]
    main()
