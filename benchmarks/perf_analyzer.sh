#!/usr/bin/env bash
# NVIDIA's real perf_analyzer against pipeline_bls: concurrency and request-rate sweeps over real photos, as CSV.
#
#   benchmarks/perf_analyzer.sh [OUT_FOLDER]                                      starts the embedded server
#   TRITON_URL=pod:8001 METRICS_URL=pod:8002/metrics benchmarks/perf_analyzer.sh  measures that server
#
# CONCURRENCY=1:8:1 and RATE=1:4:1 (start:end:step; empty: leave that sweep out), SECONDS_PER_POINT=8, PHOTOS, CONCEPTS=3,
# STABILITY=25 (percent by which three windows may differ; a machine that does other work needs more, or there is no CSV).
# The binary comes out of the tritonclient 2.50.0 wheel (the newest have none). Its two libraries, libb64 and libcudart, are the
# nvidia-pytriton wheel's own, so nothing has to be installed.
set -euo pipefail  # a sweep that fails behind tee fails the script
cd "$(dirname "$0")/.."
out="${1:-build/perf}"
python="${PYTHON:-.venv/bin/python}"
cache="${XDG_CACHE_HOME:-$HOME/.cache}/respray/perf_analyzer-2.50.0"
mkdir -p "$out"
out="$(cd "$out" && pwd)"

if [ ! -x "$cache/bin/perf_analyzer" ]; then
  echo "fetching perf_analyzer (14 MB)" >&2
  rm -rf "$cache" && mkdir -p "$cache"
  "$python" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --platform manylinux1_x86_64 \
    --dest "$cache" tritonclient==2.50.0
  "$python" -m benchmarks.perf_analyzer_files "$cache"
fi

if [ -z "${TRITON_URL:-}" ]; then
  ready="$out/server.env"
  rm -f "$ready"
  "$python" -m benchmarks.perf_server "$ready" &
  server=$!
  trap 'kill "$server" 2>/dev/null; wait "$server" 2>/dev/null || true' EXIT INT TERM
  while [ ! -s "$ready" ]; do
    kill -0 "$server" 2>/dev/null || { echo "the embedded server did not start; its message stands above" >&2; exit 1; }
    sleep 0.2
  done
  # shellcheck source=/dev/null
  . "$ready"
fi

"$python" -m benchmarks.perf_inputs --out "$out/inputs.json" --concepts "${CONCEPTS:-3}" ${PHOTOS:+--photos "$PHOTOS"}

# Windows of time: a fixed number of requests would be over in no time at high concurrency.
run() {  # run NAME OPTIONS...
  csv="$out/$1.csv"
  shift
  rm -f "$csv"  # figures of an earlier run are not this one's
  LD_LIBRARY_PATH="$cache/lib" "$cache/bin/perf_analyzer" -m pipeline_bls -u "$TRITON_URL" -i grpc --input-data "$out/inputs.json" \
    --measurement-mode time_windows --measurement-interval "$((${SECONDS_PER_POINT:-8} * 1000))" --stability-percentage "${STABILITY:-25}" \
    --max-trials 10 --percentile 95 --verbose-csv ${METRICS_URL:+--collect-metrics --metrics-url "$METRICS_URL"} -f "$csv" "$@" || {
    echo "perf_analyzer failed (status $?): there is no $csv; its message stands above" >&2
    return 1
  }
  # Figures that did not settle end without an error, and without a file.
  [ -s "$csv" ] || { echo "perf_analyzer wrote no $csv: its figures did not settle (STABILITY=${STABILITY:-25})" >&2; return 1; }
}
if [ -n "${CONCURRENCY-1:8:1}" ]; then
  run concurrency --concurrency-range "${CONCURRENCY:-1:8:1}" 2>&1 | tee "$out/concurrency.log"
fi
if [ -n "${RATE-1:4:1}" ]; then
  run rate --request-rate-range "${RATE:-1:4:1}" --request-distribution poisson 2>&1 | tee "$out/rate.log"
fi
ls -l "$out"/*.csv
