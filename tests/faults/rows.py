"""The rows of the fault table. Each breaks one thing while jobs are under way and returns what a caller would find."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from tests.faults.chaos import ChaosProxy
from tests.faults.processes import PROJECT, status_of, worker_environment
from tests.faults.stage import Outcome, Stage

LONG = 900.0


def undisturbed(stage: Stage, images: int = 30) -> Outcome:
    """Nothing is broken: what the other rows are compared with."""
    jobs = [stage.job("calm", images)]
    began = time.monotonic()
    stage.push("calm", jobs)
    stage.worker("calm")
    stage.wait_done(jobs, LONG)
    return _end(stage, f"nothing broken, {images} images", jobs, began)


def worker_killed(stage: Stage, images: int = 30, kills: int = 20) -> Outcome:
    """SIGKILL at random points; the queue delivers the job again to the next worker."""
    jobs, dice = [stage.job("killed", images)], random.Random(20)
    began, done, count = time.monotonic(), 0, 0
    stage.push("killed", jobs)
    worker = stage.worker("killed")
    while count < kills:
        worker.wait_ready()
        # At a random moment up to two items further on (now and then none: before the job is taken, or while its first photos are edited).
        target, deadline = stage.records(jobs) + dice.choice((0, 1, 1, 2, 2)), time.monotonic() + 20
        while time.monotonic() < deadline and stage.records(jobs) < min(target, images):
            time.sleep(0.02)
        time.sleep(dice.uniform(0.0, 0.5))
        worker.kill()
        count += 1
        worker = stage.worker("killed")
        done = stage.records(jobs)
    stage.wait_done(jobs, LONG)
    outcome = _end(stage, f"worker killed with SIGKILL {kills} times in a job of {images} images", jobs, began)
    outcome.notes += f" {done} of {images} items recorded at the last kill"
    return outcome


def triton_killed(stage: Stage, images: int = 30, kills: int = 2) -> Outcome:
    """tritonserver dies with photos in it, stays away for a few seconds, and comes back on the same port."""
    jobs, port = [stage.job("triton", images)], int(stage.triton_url.rsplit(":", 1)[1])
    began = time.monotonic()
    stage.push("triton", jobs)
    stage.worker("triton")
    for kill in range(1, kills + 1):
        _wait_for(stage.records, jobs, kill * images // (kills + 2))
        stage.kill_triton()
        time.sleep(3)
        stage.start_triton(port)
    stage.wait_done(jobs, LONG)
    return _end(stage, f"tritonserver killed and restarted {kills} times, {images} images", jobs, began)


def models_killed(stage: Stage, images: int = 8) -> Outcome:
    """The processes behind a model die (the kernel's choice when memory runs out): Triton says ready, `/readyz` does not."""
    jobs, port = [stage.job("models", images)], int(stage.triton_url.rsplit(":", 1)[1])
    worker = stage.worker("models")
    worker.wait_ready()
    began, url = time.monotonic(), worker.probes()
    _wait(lambda: status_of(f"{url}/readyz") == 200, 60)
    killed = stage.signal_models("applier", signal.SIGKILL)
    stage.push("models", jobs)
    _wait(lambda: status_of(f"{url}/readyz") == 503, 60)
    noticed, reason = time.monotonic() - began, httpx.get(f"{url}/readyz", timeout=30).json().get("reason", "")
    stage.kill_triton()  # what the watchdog does
    stage.start_triton(port)
    stage.wait_done(jobs, LONG)
    _wait(lambda: status_of(f"{url}/readyz") == 200, 60)
    outcome = _end(stage, f"{killed} processes of a Python model killed under a job of {images} images, server restarted", jobs, began)
    outcome.notes += f" not ready after {noticed:.0f} s ({reason[:60]})"
    return outcome


def models_stalled(stage: Stage, images: int = 30, stalls: int = 4) -> Outcome:
    """The processes behind the models stand still for three seconds with photos in them."""
    jobs = [stage.job("stalled", images)]
    began = time.monotonic()
    stage.push("stalled", jobs)
    stage.worker("stalled")
    for stall in range(1, stalls + 1):
        _wait_for(stage.records, jobs, stall * images // (stalls + 2))
        for number in (signal.SIGSTOP, signal.SIGCONT):
            for model in ("applier", "pipeline_bls"):
                stage.signal_models(model, number)
            time.sleep(3 if number == signal.SIGSTOP else 0)
    stage.wait_done(jobs, LONG)
    alive = stage.triton is not None and stage.triton.running
    outcome = _end(stage, f"the models' processes stopped for 3 s, {stalls} times in a job of {images} images", jobs, began)
    outcome.notes += f" Triton {'lived' if alive else 'ENDED'}"
    return outcome


def redis_restarted(stage: Stage, jobs_count: int = 3, images: int = 10, restarts: int = 2) -> Outcome:
    """Redis goes away in the middle and comes back with its append-only file."""
    jobs = [stage.job(f"redis{n}", images) for n in range(jobs_count)]
    began = time.monotonic()
    stage.push("redis", jobs)
    stage.worker("redis")
    total = jobs_count * images
    for restart in range(1, restarts + 1):
        _wait_for(stage.records, jobs, restart * total // (restarts + 2))
        stage.redis.kill()
        time.sleep(2)
        stage.redis.start()
        stage.redis.wait()
    stage.wait_done(jobs, LONG)
    return _end(stage, f"Redis killed and restarted {restarts} times, {jobs_count} jobs of {images} images", jobs, began)


def s3_broken(stage: Stage, images: int = 30, share: float = 0.3) -> Outcome:
    """500, 503, slow, truncated, reset, answer lost: for three requests in ten."""
    proxy = ChaosProxy(stage.s3.port, share)
    jobs = [stage.job("chaos", images)]
    began = time.monotonic()
    stage.push("chaos", jobs)
    stage.worker("chaos", STORAGE_S3_ENDPOINT=proxy.url)
    stage.wait_done(jobs, LONG)
    outcome = _end(stage, f"S3 fails {share:.0%} of requests (500, 503, slow, truncated, reset, answer lost), {images} images", jobs, began)
    outcome.notes += f" {proxy.injected} of {proxy.total} requests broken"
    proxy.close()
    return outcome


def receiver_down(stage: Stage, images: int = 30) -> Outcome:
    """The receiver is down for the whole job; afterwards `respray callbacks retry` delivers from the records."""
    jobs = [stage.job("down", images)]
    stage.receiver.down()
    began = time.monotonic()
    stage.push("down", jobs)
    worker = stage.worker("down")
    stage.wait_done(jobs, LONG, callbacks=False)
    _wait(lambda: any(e["event"] == "finish" and e.get("job_id") == "down" for e in worker.events()))
    stored = time.monotonic() - began
    stage.end_workers()
    stage.receiver.up()
    environment = worker_environment(STORAGE_S3_ENDPOINT=stage.s3.url, CALLBACK_ALLOW_HOSTS=stage.receiver.host)
    command = [str(Path(sys.executable).parent / "respray"), "callbacks", "retry"]
    done = subprocess.run(
        command, env={"PATH": "/usr/bin:/bin", **environment}, capture_output=True, text=True, cwd=PROJECT, check=False, timeout=300
    )
    outcome = _end(stage, f"callback receiver down for a whole job of {images} images, then back", jobs, began)
    outcome.notes += f" images stored after {stored:.0f} s, callbacks from the records"
    if done.returncode != 0:
        outcome.failures.append(f"callbacks retry: {done.stderr[-300:]}")
    return outcome


def delivered_twice(stage: Stage, images: int = 30) -> Outcome:
    """The same job, twice in the queue, to two workers at the same time."""
    jobs = [stage.job("twice", images)]
    began = time.monotonic()
    workers = [stage.worker("twice"), stage.worker("twice")]
    for worker in workers:
        worker.wait_ready()
    stage.push("twice", jobs * 2)
    stage.wait_done(jobs, LONG)
    _wait(lambda: sum(e["event"] == "finish" and e.get("job_id") == "twice" for w in workers for e in w.events()) == 2)
    return _end(stage, f"duplicate delivery to two workers at once, {images} images", jobs, began)


def many_jobs(stage: Stage, jobs_count: int = 1000, workers: int = 4, kills: int = 2) -> Outcome:
    """A long queue of small jobs, several workers, some of which die on the way."""
    variety = min(50, jobs_count)
    stage.prepare_references(range(variety))
    jobs = [stage.job(f"many{n}", 1, n % variety) for n in range(jobs_count)]
    began = time.monotonic()
    stage.push("many", jobs)
    crew = [stage.worker("many", JOB_CONCURRENCY="4") for _ in range(workers)]
    for kill in range(kills):
        _wait_for(stage.callbacks, jobs, (kill + 1) * jobs_count // (kills + 2))
        crew[kill].kill()
    stage.wait_done(jobs, 3600)
    outcome = _end(
        stage,
        f"{jobs_count} jobs drained by {workers} workers, {kills} of them killed on the way",
        jobs,
        began,
        lambda job, idx: int(job["job_id"][4:]) % variety,
    )
    outcome.notes += f" {jobs_count / outcome.seconds:.1f} jobs/s"
    return outcome


ROWS: dict[str, Callable[[Stage], Outcome]] = {
    f.__name__: f
    for f in (
        undisturbed,
        worker_killed,
        triton_killed,
        models_killed,
        models_stalled,
        redis_restarted,
        s3_broken,
        receiver_down,
        delivered_twice,
        many_jobs,
    )
}


def _end(
    stage: Stage, name: str, jobs: list[dict[str, Any]], began: float, seeds: Callable[[dict[str, Any], int], int] = lambda job, idx: idx
) -> Outcome:
    """Stop the workers in the orderly way, so that nothing is still under way, and count."""
    seconds = time.monotonic() - began
    stage.end_workers()
    outcome = stage.judge(name, jobs, seeds, began)
    outcome.seconds = seconds
    return outcome


def _wait_for(count: Callable[[list[dict[str, Any]]], int], jobs: list[dict[str, Any]], at_least: int) -> None:
    _wait(lambda: count(jobs) >= at_least)


def _wait(check: Callable[[], bool], seconds: float = LONG) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s")
        time.sleep(0.1)
