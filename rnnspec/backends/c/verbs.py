"""The verbs of the core as C: the body of a function that computes a layer by its recipe.

For each feature ``u``, results that depend on the steps are in the output ``y``, and others are
variables.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rnnspec.backends.c.names import number
from rnnspec.errors import GenerationError
from rnnspec.ir import core
from rnnspec.ir.expand import MASK, X
from rnnspec.source.verbs import SIGNS

if TYPE_CHECKING:
    from collections.abc import Iterable

_EACH_STEP = "for (size_t t = 0; t < steps; ++t) {"


def recipe_lines(results: Iterable[core.Result]) -> tuple[str, ...]:
    """Return the lines that compute ``y`` from ``x``, (steps, units), and the arrays by name."""
    writer = _Writer()
    for result in results:
        writer.add(result)
    return ("for (size_t u = 0; u < units; ++u) {", *(f"    {each}" for each in writer.lines), "}")


@dataclass(slots=True)
class _Writer:
    """The lines so far, and what the names of a recipe stand for."""

    lines: list[str] = field(default_factory=list)
    names: dict[core.Expression, str] = field(
        default_factory=lambda: {X: "x[t * units + u]", MASK: "mask[t]"}
    )
    variables: int = 0

    def add(self, result: core.Result) -> None:
        """Add the lines of a result."""
        text = self.write(result.value)
        name = core.Name(result.name)
        if "[t" not in text:
            self.lines.append(f"const float {result.name}_u = {text};")
            self.names[name] = f"{result.name}_u"
        elif name == X:
            # What is computed from x at each step is not computed from this x.
            kept = {key: held for key, held in self.names.items() if "[t * " not in held}
            self.names = kept | {X: "y[t * units + u]"}
            self.lines += [_EACH_STEP, f"    {self.names[X]} = {text};", "}"]
        else:
            self.names[name] = text

    def write(self, value: core.Expression, binding: int = 0) -> str:
        """Return an expression at step ``t``, in parentheses if its operator binds less."""
        match value:
            case float():
                return number(value)
            case core.Setting(name):
                return name
            case core.Name() if value in self.names:
                return self.names[value]
            case core.Param(_, name):
                return f"{name}[u]"
            case core.SquareRoot(x):
                return f"sqrtf({self.write(x)})"
            case core.Combine("maximum", left, right):
                text, limit = self.write(left), self.write(right)
                name = text if text.isidentifier() else self._declare(text)
                return self._declare(f"{name} > {limit} ? {name} : {limit}")
            case core.Combine(how, left, right):
                sign, rank = SIGNS[how]
                text = f"{self.write(left, rank)} {sign} {self.write(right, rank + 1)}"
                return f"({text})" if rank < binding else text
            case core.Column(mask):
                return self.write(mask)
            case core.Fill(condition, x, otherwise):
                parts = self.write(condition, 1), self.write(x), self.write(otherwise)
                text = f"{parts[0]} ? {parts[1]} : {parts[2]}"
                return f"({text})" if binding else text
            case core.Reduce(("sum" | "mean") as how, x, keep=True):
                text, name = self.write(x), self._declare("0.0f")
                self.lines += [_EACH_STEP, f"    {name} += {text};", "}"]
                return name if how == "sum" else f"{name} / (float)steps"
            case _:
                raise GenerationError(f"the verb {type(value).__name__} is not supported here in C")

    def _declare(self, value: str) -> str:
        """Add the declaration of a variable, and return its name."""
        self.variables += 1
        name = f"value_{self.variables}"
        self.lines.append(f"float {name} = {value};")
        return name
