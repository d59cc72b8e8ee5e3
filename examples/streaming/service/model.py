"""An ONNX model in step form: the check of a chunk, and the step itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

Array = NDArray[Any]
States = dict[str, Array]
Output = Array | dict[str, Array]


class RefusedError(Exception):
    """A request that cannot be answered: an HTTP status, and a sentence that says why."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass(frozen=True, slots=True)
class StepModel:
    """A network that takes chunks of tokens below ``vocabulary``, or of ``features`` if that is 0.

    ``sizes`` are those of its states, and ``heads`` the names of its outputs, empty if it has one.
    ONNX Runtime may run one session in several threads.
    """

    name: str
    session: onnxruntime.InferenceSession
    vocabulary: int
    features: int
    sizes: dict[str, int]
    heads: tuple[str, ...]

    def zeros(self, batch: int) -> States:
        """Return the states before the first chunk."""
        return {name: np.zeros((batch, size), np.float32) for name, size in self.sizes.items()}

    def chunk(self, values: Any, batch: int) -> Array:
        """Return nested lists as a chunk (batch, steps[, features]).

        Raises:
            RefusedError: they are no chunk of this network, or of another batch size.
        """
        try:
            # A number too large for float32 becomes infinite, and is refused below.
            with np.errstate(over="ignore"):
                found = np.array(values, np.int64 if self.vocabulary else np.float32)
        except (ValueError, OverflowError) as error:
            sentence = "expected as many steps in each sequence, and features in each step"
            if isinstance(error, OverflowError):
                sentence = "expected integers of 64 bits, received a larger one"
            raise RefusedError(422, sentence) from None
        self._check_shape(found, batch)
        self._check_values(found)
        return found

    def _check_shape(self, found: Array, batch: int) -> None:
        if len(found) != batch:
            raise RefusedError(
                422, f"batch size: expected {batch}, as in the session, received {len(found)}"
            )
        if found.ndim < 2 or not found.shape[1]:
            raise RefusedError(422, "expected a chunk of one step or more, received none")
        if self.features and found.shape[2] != self.features:
            raise RefusedError(
                422, f"features at each step: expected {self.features}, received {found.shape[2]}"
            )

    def _check_values(self, found: Array) -> None:
        if self.vocabulary:
            wrong = found[(found < 0) | (found >= self.vocabulary)]
            if wrong.size:
                raise RefusedError(
                    422, f"expected tokens from 0 to {self.vocabulary - 1}, received {wrong[0]}"
                )
        elif not np.isfinite(found).all():
            raise RefusedError(422, "expected numbers that float32 can hold, received another one")

    def step(self, chunk: Array, states: States) -> tuple[Output, States]:
        """Return the output for the steps so far, by head if there are several, and the states.

        Raises:
            RefusedError: the output has numbers that are not finite.
        """
        results = self.session.run(None, {"inputs": chunk, **states})
        outputs, after = results[: -len(states)], results[-len(states) :]
        if not all(np.isfinite(output).all() for output in outputs):
            raise RefusedError(500, "the output has numbers that are not finite")
        output = dict(zip(self.heads, outputs, strict=True)) if self.heads else outputs[0]
        return output, dict(zip(states, after, strict=True))


def open_model(path: str) -> StepModel:
    """Return the model in a file that ``rnnspec build --form step`` wrote.

    Raises:
        ValueError: there is no such file, it is not of ONNX, or it has a model in another form.
    """
    if not Path(path).is_file():
        raise ValueError(f"{path}: there is no such file")
    try:
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 - a class for each status, without a public base
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{path}: expected an ONNX model; ONNX Runtime says: {reason}") from None
    meta = session.get_modelmeta()
    about = meta.custom_metadata_map
    if about.get("form") != "step":
        raise ValueError(f"{path}: expected a model in step form, of rnnspec build --form step")
    inputs, *states = session.get_inputs()
    names = [each.name for each in session.get_outputs()]
    # A network with more inputs has a name for each, and values that are computed from them.
    handed_on = [f"{each.name}_next" for each in states]
    if inputs.name != "inputs" or names[-len(states) :] != handed_on:
        raise ValueError(f"{path}: expected a network that takes nothing but its stream")
    heads = tuple(names[: -len(states)])
    return StepModel(
        name=meta.graph_name,
        session=session,
        vocabulary=int(about.get("vocabulary", 0)),
        features=0 if "vocabulary" in about else inputs.shape[2],
        sizes={each.name: each.shape[1] for each in states},
        heads=heads if len(heads) > 1 else (),
    )
