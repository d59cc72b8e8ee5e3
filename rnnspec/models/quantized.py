"""Quantize a written file, run it, and tell how far its outputs move."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from rnnspec import pipeline
from rnnspec.backends.contract import QUANTIZE, Trace
from rnnspec.comparison.case import run_forward
from rnnspec.comparison.levels import distance
from rnnspec.comparison.verify import batches, case_of
from rnnspec.errors import Difference, OutputError, ParityError, UsageError, listed
from rnnspec.ir.params import count
from rnnspec.models import saving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rnnspec.comparison.verify import Proof
    from rnnspec.pipeline import Generated, Program
    from rnnspec.source.code import Source

_ALLOWED = 0.1
"""The largest move of an output, as a part of the largest output, that rounding explains."""


@dataclass(slots=True)
class Quantization:
    """The quantization of the file for ``output`` after its ``proof``, with what it changed.

    ``moved`` is the largest difference of an output from the reference, ``largest`` the largest
    output, and ``sizes`` are those of the file in bytes, before and after.
    """

    proof: Proof
    kind: str
    output: Path
    moved: float = 0.0
    largest: float = 0.0
    sizes: list[int] = field(default_factory=list)

    def __call__(self, folder: Path) -> None:
        """Compare the file with the reference, quantize it, and run it again.

        Raises:
            ParityError: an array or output differs, after quantization by more than rounding.
            UsageError: the file would not become smaller.
            OutputError: the disk is full.
        """
        self.proof(folder)
        generated = self.proof.generated
        runtime, name = generated.backend.runtime, generated.network.name
        self.sizes = [runtime.size(folder, name)]
        source = generated.source
        try:
            if generated.backend.quantizes_source:
                source = self._write_rounded(folder)
            else:
                runtime.quantize(folder / f"{name}{generated.backend.suffix}", self.kind)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise OutputError(f"cannot be written: {reason}", str(self.output)) from error
        self.sizes.append(runtime.size(folder, name))
        self._check_size()
        self._compare(folder, source)

    def _write_rounded(self, folder: Path) -> Source:
        """Write the files again, from source that rounds its arrays, and return it."""
        proof, exact = self.proof, self.proof.generated
        options = {**exact.options, QUANTIZE.name: self.kind}
        rounded = pipeline.generate(proof.program, exact.backend, exact.form, options)
        model = pipeline.instantiate(rounded, drawn=False)
        rounded.store.write(model, proof.arrays)
        saving.write(rounded, model, folder, proof.program.spec.document.text)
        return rounded.source

    def report(self) -> Iterator[str]:
        """Yield lines about the quantized layers, the change of outputs, and the new size."""
        rounded = quantized_layers(self.proof.generated)
        layers = self.proof.generated.network.layers
        names = [layer.name for layer in layers if count(layer)]
        exact = listed([name for name in names if name not in rounded])
        others = f"; not {exact}" if exact else ""
        yield f"quantized to {self.kind}: {listed(rounded)}{others}"
        moved = f"outputs move by up to {self.moved:.1e}"
        yield f"{moved} on random batches; the largest output is {self.largest:.1e}"
        before, after = (f"{size / 1000:,.0f} kB" for size in self.sizes)
        yield f"size: {after}, in float32 {before}"

    def _check_size(self) -> None:
        before, after = self.sizes
        if after >= before:
            raise UsageError(
                f"--quantize {self.kind}: expected a smaller file, received {after:,} bytes, and "
                f"{before:,} without it; leave it out",
                self.proof.program.source,
            )

    def _compare(self, folder: Path, source: Source) -> None:
        proof = self.proof
        generated, program = proof.generated, proof.program
        model = generated.backend.runtime.reload(folder, generated.network.name, source)
        for batch in batches(program.network, generated.longest):
            case = case_of(program, proof.arrays, batch)
            truth = case.outputs(case.truth)
            if generated.backend.quantizes_source:
                outputs = run_forward(generated, model, case)
            else:
                # Its graph has other values between the layers.
                output = generated.backend.runtime.output(model, batch)
                outputs = case.outputs(Trace({}, output))
            for layer in program.network.results.values():
                expected = truth[layer.name]
                self.moved = max(self.moved, distance(outputs[layer.name], expected))
                self.largest = max(self.largest, float(np.abs(expected).max(initial=0)))
        self._check_move()

    def _check_move(self) -> None:
        allowed = _ALLOWED * self.largest
        # Written this way, the test also refuses NaN.
        if not self.moved <= allowed:
            generated = self.proof.generated
            name, last = generated.network.name, generated.network.last
            bound = f"within {allowed:.2g} of the reference once quantized to {self.kind}"
            received = f"a difference of {self.moved:.3g}"
            place = (name, generated.backend.name, last)
            raise ParityError((Difference(*place, "output", bound, received),))


def quantized_layers(generated: Generated) -> list[str]:
    """Return the names of the layers whose arrays are quantized."""
    runtime = generated.backend.runtime
    return [layer.name for layer in generated.network.layers if runtime.quantizes(layer)]


def check(program: Program, generated: Generated, kind: str) -> None:
    """Raise, before any slow work, if no layer of the network would be quantized.

    Raises:
        UsageError: there is nothing to quantize, or the source is in another form.
    """
    if generated.form != "inference" and not generated.backend.quantizes_source:
        raise UsageError(f"--quantize {kind} is for a model in one piece, not for --form step")
    if not quantized_layers(generated):
        raise UsageError(
            f"--quantize {kind}: expected an embedding or an LSTM of fused operators, received "
            "neither; there are no such operators for other layers",
            program.source,
        )
