"""Everything that can go wrong between this package and a Triton server, as one family of exceptions."""

from __future__ import annotations

OTHER_CALL = "{} gave the answer of another call: its process is not healthy"
"""A model's process that stalled for a second is given up with its call, and what it says of it later answers the next one
(docs/troubleshooting.md): nobody is to get another one's photo.
"""


class ServingError(Exception):
    """Base of all errors of `respray.triton`. The message says what was given or found, and what would be accepted."""


class BuildError(ServingError):
    """A model repository cannot be built from what was given."""


class HostError(ServingError):
    """This machine cannot run or prepare a server as it is; the message says what to install or to change."""


class ServerStartError(ServingError):
    """The server was started and did not become ready; the message carries the server's own error lines."""


class ProbeFailed(ServerStartError):
    """What serves the graphs does not give their answers; the message names each limit that is not kept."""


class ServerUnavailable(ServingError):
    """No answer from the server: it is away, still starting, or the deadline passed. Trying again may help."""


class PhotoError(ServingError):
    """The server answered that this photo or this request cannot be worked on. Trying again will not help.

    MARK precedes its message where it travels through Triton as text.
    """

    MARK = "PhotoError: "
