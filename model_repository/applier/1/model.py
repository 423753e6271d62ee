"""Photo at full resolution, low-resolution masks and a request in; encoded files and a report out. The work is `editing`'s."""

from serving import bls
from serving.applier import apply


class TritonPythonModel:
    """Edits one photo per request."""

    def execute(self, requests):
        """One answer per request; an error is the answer of its own request only."""
        return [self._answer(request) for request in requests]

    def _answer(self, request):
        try:
            return bls.response(apply(bls.arrays(request)))
        except Exception as error:
            return bls.failure(error)
