"""Where the results of a palette job go: the keys of its message, or those that follow from its looks."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.jobs import keys
from orchestrator.jobs.job_types import Target
from orchestrator.jobs.messages import PaletteItem, PaletteMessage
from orchestrator.jobs.problems import Problems

LOOK = "{look}"
"""Stands for a look's name in a key."""
ONLY_OUTPUT = "result"
"""What the output of a job without looks is called."""


class PaletteKeys:
    """Checks the keys of one job, and that none of them is written twice."""

    def __init__(self, message: PaletteMessage, transparent: Sequence[bool], problems: Problems) -> None:
        """Prepare for a job.

        Args:
            message: Its message.
            transparent: Whether each of its outputs needs a format with transparency: of each look, or of the only output.
            problems: Takes what is wrong with a key.
        """
        self._user, self._job = message.user_id, message.job_id
        self._looks = None if message.looks is None else [look.name for look in message.looks]
        self._format, self._transparent, self._problems = message.options.format, any(transparent), problems
        self._written: set[str] = set()

    def targets(self, place: str, entry: PaletteItem) -> tuple[Target, ...]:
        """Where the outputs of a photo go, in the order of the looks.

        Args:
            place: Where it stands in the message.
            entry: The photo.

        Returns:
            One target per look, or the only one; none after noting problems.
        """
        before = len(self._problems)
        self._check(f"{place}.input_key", entry.input_key, keys.inputs_prefix(self._user, self._job))
        fmt = self._format_of(f"{place}.output_key", entry.output_key)
        if fmt is None:
            return ()
        if self._transparent and fmt not in keys.ALPHA_FORMATS:
            hint = "set options.format to png or webp"
            if entry.output_key is not None:
                hint = f"give {entry.output_key!r} the extension .png or .webp"
            text = f"'remove transparent' needs a format with transparency and JPEG has none; {hint}"
            self._problems.add(f"{place}.output_key", text)
        targets = []
        looks: Sequence[str | None] = self._looks or (None,)
        for look in looks:
            output_key, preview_key = self._keys(entry, look, fmt)
            self._write(f"{place}.output_key", output_key, keys.outputs_prefix(self._user, self._job))
            if preview_key is not None:
                self._write(f"{place}.preview_key", preview_key, keys.previews_prefix(self._user, self._job))
                if keys.format_of(preview_key) != "jpeg":
                    self._problems.add(f"{place}.preview_key", f"{preview_key!r} must end in .jpg or .jpeg: previews are JPEG")
            if len(self._problems) > before:
                return ()  # one sentence per key, not one per look
            targets.append(Target(look or ONLY_OUTPUT, output_key, fmt, preview_key))
        return tuple(targets)

    def _keys(self, entry: PaletteItem, look: str | None, fmt: keys.Format) -> tuple[str, str | None]:
        """The keys of one output and of its preview."""
        if look is None:
            assert entry.output_key is not None  # `_format_of` has missed it
            return entry.output_key, entry.preview_key
        output_key, preview_key = entry.output_key or "", entry.preview_key or ""
        if LOOK not in output_key:
            # What is written once for each look has a place for each; of the key that does not say where, its extension counts.
            extension = output_key.rsplit(".", 1)[-1] if output_key else ("jpg" if fmt == "jpeg" else fmt)
            output_key = f"{keys.outputs_prefix(self._user, self._job)}{LOOK}/{entry.idx}.{extension}"
        if LOOK not in preview_key:
            preview_key = f"{keys.previews_prefix(self._user, self._job)}{LOOK}/{entry.idx}_thumb.jpg"
        return output_key.replace(LOOK, look), preview_key.replace(LOOK, look)

    def _format_of(self, place: str, key: str | None) -> keys.Format | None:
        """What an output's bytes are: by its key, else by the options, else PNG, which loses nothing. None after noting a problem."""
        if key is None:
            if self._looks is None:
                self._problems.add(place, "is missing; it may be left out only in a job with looks")
                return None
            return self._format or "png"
        fmt = keys.format_of(key)
        if fmt is None:
            self._problems.add(place, f"{key!r} must end in one of .{', .'.join(keys.EXTENSIONS)}")
        elif self._format not in (None, fmt):
            self._problems.add(place, f"{key!r} is a {fmt} key but options.format is {self._format}; make them agree, or leave it out")
        return fmt

    def _write(self, place: str, key: str, prefix: str) -> None:
        if self._check(place, key, prefix):
            if key in self._written:
                self._problems.add(place, f"{key!r} is written twice; accepted is each key once")
            self._written.add(key)

    def _check(self, place: str, key: str, prefix: str) -> bool:
        problem = keys.key_problem(key, prefix)
        if problem:
            self._problems.add(place, problem)
        return not problem
