"""What is wrong with a message, collected, so that its sender sees all of it at once."""

from __future__ import annotations

from orchestrator.errors import JobError
from respray.contract.sentences import MAX_PROBLEMS


class Problems:
    """One sentence per problem, in the order in which they were found."""

    def __init__(self) -> None:
        self._found: list[str] = []

    def __len__(self) -> int:
        return len(self._found)

    def add(self, place: str, text: str) -> None:
        """Note a problem.

        Args:
            place: The field, as in `items[3].output_key`.
            text: What was given and what is accepted.
        """
        self._found.append(f"{place}: {text}")

    def raise_if_any(self) -> None:
        """Raise JobError with the problems, of very many the first ones."""
        if self._found:
            shown, more = self._found[:MAX_PROBLEMS], len(self._found) - MAX_PROBLEMS
            raise JobError([*shown, f"and {more} more problems"] if more > 0 else shown)
