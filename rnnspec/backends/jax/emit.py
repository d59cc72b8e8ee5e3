"""IR -> JAX source: one ``nnx.Module`` of Flax."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnspec.backends.expressions import Function, Source
from rnnspec.backends.jax.cells import cell_classes
from rnnspec.backends.jax.forward import forward_functions
from rnnspec.backends.jax.initial import draws_uniformly
from rnnspec.backends.jax.modules import modules
from rnnspec.backends.jax.parts import parts
from rnnspec.backends.jax.steps import described_states, step_methods
from rnnspec.backends.needs import purpose
from rnnspec.ir import text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rnnspec.backends.contract import Stock
    from rnnspec.errors import Refusal
    from rnnspec.ir.forms import Form
    from rnnspec.ir.nodes import Network


def emit(network: Network, form: Form) -> Source:
    """Return the source of a network: an ``nnx.Module`` named after it."""
    arguments = "self, *, rngs: nnx.Rngs" if form == "training" else "self"
    return Source(
        template="jax/model.py.j2",
        title=text.title(network),
        comment=text.comment(network),
        entry=text.class_name(network),
        docstring=(
            f"The network {network.name}{purpose(form)}.",
            "",
            *text.signature(network, chunks=form == "step"),
            *(described_states(network) if form == "step" else ()),
        ),
        parts=tuple(parts(network, form)),
        imports=tuple(_imports(network, form)),
        functions=(
            Function("__init__", arguments, "None", (), modules(network, form)),
            *(step_methods if form == "step" else forward_functions)(network),
        ),
    )


def _imports(network: Network, form: Form) -> Iterator[str]:
    """Yield the imports that the parts need."""
    options = [option for each in cell_classes(network, form).values() for option in each.options]
    if any(option.endswith("activation") for option in options):
        yield "from collections.abc import Callable"
    if form == "training" and draws_uniformly(network):
        yield "from functools import partial"


def refusals(network: Network, form: Form) -> tuple[Refusal, ...]:  # noqa: ARG001
    """Return no refusals: the source for JAX can honour every key."""
    return ()


def arranged(network: Network, form: Form) -> Network:  # noqa: ARG001
    """Return the network as it is: each layer is a module of its own."""
    return network


def stepwise(network: Network) -> dict[str, str]:  # noqa: ARG001
    """Return no layers: every cell is compiled in the same way."""
    return {}


def stock(network: Network) -> tuple[Stock, ...]:  # noqa: ARG001
    """Return no layers: those of Flax have as many parameters."""
    return ()
