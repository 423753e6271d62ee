"""Check 3: cuDNN with the sub-libraries that it opens later, in the middle of the first inference."""

from __future__ import annotations

from respray.doctor.cuda import judge
from respray.doctor.finding import FAIL, PASS, WARN, Finding
from respray.doctor.situation import Situation
from respray.segmentation.accelerator import CUDNN, CUDNN_PARTS
from respray.segmentation.cuda_needs import CUDNN_MAJORS, accepted_majors, site_packages
from respray.segmentation.library_probe import probe, wheel_folders

NAME = "cudnn"
TITLE = "cuDNN"

_INSTALL = ".venv/bin/pip install 'onnxruntime-gpu[cuda,cudnn]'; on Ubuntu with NVIDIA's repository: apt-get install -y libcudnn9-cuda-13"
_OLD = "libcudnn_ops_infer.so.8"


def run(situation: Situation) -> list[Finding]:
    """The main library, its parts, and whether only the retired version 8 is there."""
    sites = site_packages()
    majors = accepted_majors("libcudnn", CUDNN_MAJORS, sites)
    folders = wheel_folders(sites, "cudnn", "cublas", "cuda_runtime", "cuda_nvrtc", "cu13", "cu12")
    severity = FAIL if situation.gpu_required else WARN
    main = [probe(f"libcudnn.so.{major}", situation.environment, CUDNN["libcudnn"], folders) for major in majors]
    finding = judge("libcudnn", main, severity, _INSTALL)
    findings = [finding]
    if finding.status == PASS:
        major = next(attempt.library.rsplit(".", 1)[1] for attempt in main if attempt.loaded)
        for part in CUDNN_PARTS:
            attempt = probe(f"{part}.so.{major}", situation.environment, (), folders)
            if not attempt.loaded:
                # A whole libcudnn with a part missing is worse than none: it passes every start-up test and aborts later.
                why = attempt.crashed or attempt.error
                findings.append(Finding(FAIL, f"{attempt.library} does not load ({why}): the first inference would abort", _INSTALL))
    elif probe(_OLD, situation.environment, (), folders).loaded:
        findings.append(Finding(severity, "only cuDNN 8 is installed; ONNX Runtime and TensorRT need 9", _INSTALL))
    return findings
