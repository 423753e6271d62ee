"""Search for parameters with the smallest error, and print what was found beside what is shipped."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from scipy.optimize import minimize as scipy_minimize

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

P = TypeVar("P", bound="DataclassInstance")
# Neighbours of a shipped value, as factors.
FACTORS = (0.5, 0.71, 1.0, 1.41, 2.0)


@dataclass(frozen=True)
class Scan:
    """The error at neighbours of one field's shipped value: `values` and `errors` of the same length."""

    field: str
    shipped: float
    values: tuple[float, ...]
    errors: tuple[float, ...]

    @property
    def best(self) -> float:
        """The value with the smallest error."""
        return self.values[int(np.argmin(self.errors))]

    @property
    def loss(self) -> float:
        """How much larger the error is at the shipped value than at the best."""
        return self.errors[self.values.index(self.shipped)] - min(self.errors)


def minimize(error: Callable[[P], float], start: P, first: Mapping[str, float], evaluations: int = 600) -> P:
    """Fit several fields together (Nelder, Mead, 1965, over the logs of the values).

    Args:
        error: what is minimised.
        start: parameters whose other fields are kept.
        first: by field, where the search starts: not at the shipped values, or it would only find them again.
        evaluations: at most so many.

    Returns:
        The parameters with the smallest error found.
    """
    names = list(first)

    def with_logs(logs: Sequence[float]) -> P:
        return changed(start, dict(zip(names, np.exp(logs), strict=True)))

    logs = np.log([first[name] for name in names])
    simplex = np.concatenate([logs[None], logs + 0.7 * np.eye(len(names))])
    options = {"maxfev": evaluations, "initial_simplex": simplex, "xatol": 1e-3, "fatol": 1e-5, "adaptive": True}
    found = scipy_minimize(lambda x: error(with_logs(x)), logs, method="Nelder-Mead", options=options)
    return with_logs(found.x)


def scan(error: Callable[[P], float], shipped: P, fields: Sequence[str], factors: Sequence[float] = FACTORS) -> list[Scan]:
    """Try neighbours of each field's shipped value, one field at a time."""
    at_shipped = error(shipped)
    scans = []
    for name in fields:
        value = float(getattr(shipped, name))
        values = tuple(value if factor == 1.0 else value * factor for factor in factors)
        errors = tuple(at_shipped if v == value else error(changed(shipped, {name: v})) for v in values)
        scans.append(Scan(name, value, values, errors))
    return scans


def changed(parameters: P, values: Mapping[str, float]) -> P:
    """Parameters with other values of some fields."""
    return replace(parameters, **{name: float(value) for name, value in values.items()})


def print_scans(scans: Sequence[Scan], measure: str) -> None:
    """Print one line a field: the shipped value, the best of its neighbours, and the error at each."""
    print(f"{'field':<22}{'shipped':>9}{'best':>9}   {measure} at each value")
    for item in scans:
        tried = "  ".join(f"{value:.3g}: {error:.4f}" for value, error in zip(item.values, item.errors, strict=True))
        print(f"{item.field:<22}{item.shipped:>9.3g}{item.best:>9.3g}   {tried}")


def print_fit(shipped: object, fitted: object, fields: Sequence[str]) -> None:
    """Print shipped and fitted values of `fields`, one line each."""
    print(f"{'field':<22}{'shipped':>9}{'fitted':>9}")
    for name in fields:
        print(f"{name:<22}{getattr(shipped, name):>9.3g}{getattr(fitted, name):>9.3g}")
