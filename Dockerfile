# syntax=docker/dockerfile:1
# The worker on a GPU: Triton with the models, and the orchestrator that feeds it. Build from the repository's root:
#   docker build -t respray .                                   or deploy/images/triton/build.sh
#   docker run --gpus all --shm-size 4g -v models:/models --env-file .env respray            Triton and the orchestrator
#   docker run --gpus all --shm-size 4g -v models:/models --env-file .env respray triton     Triton alone
# Layers go from what changes least to what changes most: Triton, the user, dependencies (pyproject.toml), the code.
# See docs/serving.md for sizes, and for what has not been tried on a GPU.

# CUDA 13.3.1, for GPUs of compute capability 7.5 and later: https://docs.nvidia.com/deeplearning/triton-inference-server/release-notes/rel-26-07.html.
# 26.07 is the first release without the published ways around authentication and into the process (CVE-2026-24206, -24207 and earlier).
ARG TRITON_VERSION=26.07

FROM python:3.12-slim-bookworm AS wheels
# `server` is what runs inside Triton, `intake` is every queue; `server,intake,export` also brings torch, to export a checkpoint on the pod
# (gigabytes).
ARG EXTRAS=server,intake,api,hub
WORKDIR /build
COPY pyproject.toml ./
COPY deploy/images/ deploy/images/
RUN deploy/images/wheels.sh dependencies /wheels "${EXTRAS}"

FROM wheels AS package
COPY . .
RUN deploy/images/wheels.sh package /wheels

FROM nvcr.io/nvidia/tritonserver:${TRITON_VERSION}-py3
# tini passes signals on and reaps what Triton's Python models leave behind. curl is what health probes of other deployments call.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends curl tini \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --create-home respray \
 && install -d -o respray -g respray /models /opt/respray
WORKDIR /home/respray
# The wheels are for the Python that Triton's Python backend embeds: another one would find none of them.
RUN python3 -c 'import sys; assert sys.version_info[:2] == (3, 12), f"this Triton has Python {sys.version}; change the wheels stage"' \
 && python3 -c 'import platform; assert platform.machine() == "x86_64", "build with --platform linux/amd64: the compiled loops are for x86-64"'
RUN --mount=type=bind,from=wheels,source=/wheels,target=/wheels \
    --mount=type=bind,source=deploy/images/install.sh,target=/install.sh \
    sh /install.sh dependencies /wheels --break-system-packages
RUN --mount=type=bind,from=package,source=/wheels,target=/wheels \
    --mount=type=bind,source=deploy/images/install.sh,target=/install.sh \
    sh /install.sh package /wheels --break-system-packages
COPY --chmod=755 deploy/images/triton/entrypoint.sh /opt/respray/entrypoint.sh
# Compiled pixel loops, so that no start waits for the compiler (respray/launch/compiled_loops.py). x86-64-v3 is the baseline; its features are
# written out because with a name alone Numba takes the build machine's (_get_host_cpu_features in its codegen.py; the variables:
# https://numba.readthedocs.io/en/stable/reference/envvars.html#compilation-options).
ENV RESPRAY_COMPILED_LOOPS=/opt/respray/compiled-loops \
    NUMBA_CPU_NAME=x86-64-v3 \
    NUMBA_CPU_FEATURES=+64bit,+avx,+avx2,+bmi,+bmi2,+cmov,+crc32,+cx16,+cx8,+f16c,+fma,+fxsr,+lzcnt,+mmx,+movbe,+popcnt,+sahf,+sse,+sse2,+sse3,+sse4.1,+sse4.2,+ssse3,+xsave
RUN NUMBA_CACHE_DIR=/opt/respray/compiled-loops python3 -m respray.launch.compiled_loops
# MODEL_PATH stays unset: /models is its default, and a value here would contradict its other spelling, MODEL_CACHE_DIR.
ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    XDG_CACHE_HOME=/tmp/cache
VOLUME /models
USER 10001
EXPOSE 8000 8001 8002 8080
# https://docs.docker.com/reference/dockerfile/#healthcheck: failures count after the start period, which a first start on a new volume may use.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30m --retries=3 \
    CMD ["python3", "-m", "respray.launch.container", "health"]
STOPSIGNAL SIGTERM
# NVIDIA's own entry point comes first: it finds the CUDA libraries for drivers older than the image (forward compatibility,
# https://docs.nvidia.com/deploy/cuda-compatibility/forward-compatibility.html).
ENTRYPOINT ["tini", "--", "/opt/respray/entrypoint.sh"]
CMD ["work"]
