"""Errors about what a sender gave: a photo, a name, an edit. Every message says what was given and what would be accepted."""

from __future__ import annotations

from collections.abc import Iterable


class ImageError(ValueError):
    """An encoded image that cannot be used: not an image, a refused format, too large, animated, truncated or corrupt."""


class EditError(ValueError):
    """A request that cannot be carried out as it stands."""


class UnknownNameError(EditError):
    """A preset, palette colour, texture or concept that does not exist; the message lists what does."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        self.kind, self.name, self.known = kind, name, sorted(known)
        super().__init__(f"unknown {kind} {name!r}; there is: {', '.join(self.known) or 'none'}")


class ConceptNotFoundError(EditError):
    """A concept was not found in the photo and the request says that this is an error."""
