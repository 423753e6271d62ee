"""Where the results of a palette job go: the keys of its message, or those that follow from its looks."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from orchestrator.jobs import keys
from orchestrator.jobs.fields import LOOK, OutputLinks
from orchestrator.jobs.job_types import Target
from orchestrator.jobs.messages import PaletteItem, PaletteMessage
from orchestrator.jobs.problems import Problems
from orchestrator.jobs.sources import Destination, StoreKey, WebLink, link_format
from respray.contract.photo_file import ImageFormat
from respray.observe.redaction import without_query

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
        if entry.input_key is not None:
            self._check(f"{place}.input_key", entry.input_key, keys.inputs_prefix(self._user, self._job))
        output = "output_url" if entry.output_url is not None else "output_key"
        looks: Sequence[str | None] = self._looks or (None,)
        self._check_names(place, entry)
        link = self._link(f"{place}.output_url", entry.output_url, looks[0])
        fmt = self._format_of(f"{place}.{output}", entry, link) if len(self._problems) == before else None
        if fmt is None:
            return ()
        if self._transparent and fmt not in keys.ALPHA_FORMATS:
            wrong, hint = f"{place}.{output}", f"give {entry.output_key or without_query(link or '')!r} the extension .png or .webp"
            if self._format is not None:
                wrong, hint = "options.format", "accepted are png and webp"
            self._problems.add(wrong, f"'remove transparent' needs a format with transparency and JPEG has none; {hint}")
        targets = []
        for look in looks:
            to, preview = self._destinations(place, entry, look, fmt)
            if to is None or len(self._problems) > before:
                return ()  # one sentence per key, not one per look
            targets.append(Target(look or ONLY_OUTPUT, to, fmt, preview))
        return tuple(targets)

    def _destinations(
        self, place: str, entry: PaletteItem, look: str | None, fmt: ImageFormat
    ) -> tuple[Destination | None, Destination | None]:
        """Where one output and its preview go, checked; None where the item does not say."""
        output_key, preview_key = self._keys(entry, look, fmt)
        output_link = self._link(f"{place}.output_url", entry.output_url, look)
        preview_link = self._link(f"{place}.preview_url", entry.preview_url, look)
        to: Destination | None = None
        preview: Destination | None = None
        if output_key is not None:
            self._write(f"{place}.output_key", output_key, keys.outputs_prefix(self._user, self._job))
            to = StoreKey(output_key)
        elif output_link is not None:
            shown = without_query(output_link)
            self._write_once(f"{place}.output_url", output_link, shown)
            if link_format(output_link) not in (None, fmt):
                self._problems.add(f"{place}.output_url", f"{shown!r} is no {fmt} link as the first look's is; make them agree")
            to = WebLink(output_link)
        if preview_key is not None:
            self._write(f"{place}.preview_key", preview_key, keys.previews_prefix(self._user, self._job))
            preview = StoreKey(preview_key)
            self._check_preview(f"{place}.preview_key", preview_key, keys.format_of(preview_key))
        elif preview_link is not None:
            shown = without_query(preview_link)
            self._write_once(f"{place}.preview_url", preview_link, shown)
            preview = WebLink(preview_link)
            self._check_preview(f"{place}.preview_url", shown, link_format(preview_link) or "jpeg")
        return to, preview

    def _check_names(self, place: str, entry: PaletteItem) -> None:
        """Note links for what is no look of the job."""
        for field, given in (("output_url", entry.output_url), ("preview_url", entry.preview_url)):
            if isinstance(given, dict) and self._looks is not None and (unknown := sorted(set(given) - set(self._looks))):
                self._problems.add(f"{place}.{field}", f"{unknown[0]!r} is no look of this job; there are: {', '.join(self._looks)}")

    def _link(self, place: str, given: OutputLinks | None, look: str | None) -> str | None:
        """The link for one output; None where there is none, or after noting that it does not fit the job's looks."""
        if given is None:
            return None
        if look is None:
            if isinstance(given, str) and LOOK not in given:
                return given
            problem = "has a link for each look, and this job has no looks; accepted is one link"
        elif isinstance(given, dict):
            if look in given:
                return given[look]
            problem = f"has no link for the look {look!r}; accepted is one for each look, or a link with {LOOK} in it"
        elif LOOK in given or len(self._looks or ()) == 1:
            return given.replace(LOOK, quote(look, safe=""))
        else:
            problem = f"a link holds one result, and this job has several looks; accepted is {{look: link}}, or a link with {LOOK} in it"
        self._problems.add(place, problem)
        return None

    def _check_preview(self, place: str, shown: str, fmt: ImageFormat | None) -> None:
        if fmt != "jpeg":
            self._problems.add(place, f"{shown!r} must end in .jpg or .jpeg: previews are JPEG")

    def _keys(self, entry: PaletteItem, look: str | None, fmt: ImageFormat) -> tuple[str | None, str | None]:
        """The keys of one output and of its preview."""
        if look is None:
            return entry.output_key, entry.preview_key
        # Previews that nobody asked for go where the outputs go, and not beside results that were sent elsewhere.
        unasked = entry.output_url is not None and entry.preview_key is None
        output_key, preview_key = entry.output_key or "", entry.preview_key or ""
        if LOOK not in output_key:
            # What is written once for each look has a place for each; of the key that does not say where, its extension counts.
            extension = output_key.rsplit(".", 1)[-1] if output_key else ("jpg" if fmt == "jpeg" else fmt)
            output_key = f"{keys.outputs_prefix(self._user, self._job)}{LOOK}/{entry.idx}.{extension}"
        if LOOK not in preview_key:
            preview_key = f"{keys.previews_prefix(self._user, self._job)}{LOOK}/{entry.idx}_thumb.jpg"
        return (
            None if entry.output_url is not None else output_key.replace(LOOK, look),
            None if entry.preview_url is not None or unasked else preview_key.replace(LOOK, look),
        )

    def _format_of(self, place: str, entry: PaletteItem, link: str | None) -> ImageFormat | None:
        """What an output's bytes are: by its key or link, else by the options, else (looks) PNG. None after noting a problem."""
        wanted = self._format
        if link is not None:
            # A link's path need not have an extension.
            shown, kind, fmt = without_query(link), "link", link_format(link) or wanted
            accepted = f"must have a path that ends in one of .{', .'.join(keys.EXTENSIONS)}, or options.format must be given"
        elif entry.output_key is not None:
            shown, kind, fmt = entry.output_key, "key", keys.format_of(entry.output_key)
            accepted = f"must end in one of .{', .'.join(keys.EXTENSIONS)}"
        elif self._looks is not None:
            return wanted or "png"  # which loses nothing
        else:
            self._problems.add(place, "is missing; accepted is output_key or output_url, and neither only in a job with looks")
            return None
        if fmt is None:
            self._problems.add(place, f"{shown!r} {accepted}")
        elif wanted not in (None, fmt):
            self._problems.add(place, f"{shown!r} is a {fmt} {kind} but options.format is {wanted}; make them agree, or leave it out")
        return fmt

    def _write(self, place: str, key: str, prefix: str) -> None:
        if self._check(place, key, prefix):
            self._write_once(place, key, key)

    def _write_once(self, place: str, written_to: str, shown: str) -> None:
        if written_to in self._written:
            self._problems.add(place, f"{shown!r} is written twice; accepted is each once")
        self._written.add(written_to)

    def _check(self, place: str, key: str, prefix: str) -> bool:
        problem = keys.key_problem(key, prefix)
        if problem is None and prefix == keys.outputs_prefix(self._user, self._job):
            problem = keys.record_problem(key, prefix)
        if problem:
            self._problems.add(place, problem)
        return not problem
