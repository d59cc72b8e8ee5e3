"""Advice on the input, the embedding and the training data."""

from __future__ import annotations

from collections.abc import Iterator

from rnnspec.ir.nodes import (
    AttentionPooling,
    Flatten,
    Input,
    Joined,
    NumericInput,
    Pooling,
    Recurrent,
    SequenceInput,
    TokenInput,
    contexts_of,
    masks,
)
from rnnspec.lint.context import Context, Finding
from rnnspec.spec.yaml.text import Path

# The thresholds are explained on the pages of L201, L205 and L208.
LITTLE_DATA = 10_000
ROUND = 1_000
PARAMETERS_PER_EXAMPLE = 100


def pretrain(context: Context) -> Iterator[Finding]:
    """An embedding with most of the parameters, and little data to train it."""
    examples, total = context.examples, context.parameters.total
    if examples is None or examples >= LITTLE_DATA:
        return
    for path, embedding in context.spec.embeddings:
        size = embedding.vocabulary * embedding.dim
        if embedding.trainable and embedding.weights is None and 2 * size > total:
            message = (
                f"the embedding has {size:,} of {total:,} parameters, and {examples:,} examples "
                "are few to train them; start from pretrained 'weights'"
            )
            yield (*path, "vocabulary"), message


def frozen_noise(context: Context) -> Iterator[Finding]:
    """Vectors that are neither pretrained nor trained."""
    for path, embedding in context.spec.embeddings:
        if not embedding.trainable and embedding.weights is None:
            message = "without 'weights' the vectors are random and stay random"
            yield (*path, "trainable"), message


def wide_embedding(context: Context) -> Iterator[Finding]:
    """An embedding with more dimensions than tokens."""
    for path, embedding in context.spec.embeddings:
        # The width of pretrained vectors comes from their file, however few of them are used.
        if embedding.weights is None and embedding.dim > embedding.vocabulary:
            message = (
                f"{embedding.vocabulary} tokens need at most {embedding.vocabulary} dimensions, "
                f"received {embedding.dim}"
            )
            yield (*path, "dim"), message


def one_token(context: Context) -> Iterator[Finding]:
    """A vocabulary of padding and a single token."""
    for path, embedding in context.spec.embeddings:
        if embedding.mask_zero and embedding.vocabulary == 2:
            message = "token 0 is padding, so every real time step has the same token, 1"
            yield (*path, "vocabulary"), message


def uncounted_padding(context: Context) -> Iterator[Finding]:
    """A round vocabulary, which may count words but not the padding token."""
    for path, embedding in context.spec.embeddings:
        if embedding.mask_zero and embedding.vocabulary % ROUND == 0:
            message = (
                f"token 0 is padding: for {embedding.vocabulary:,} words, use a vocabulary of "
                f"{embedding.vocabulary + 1:,}"
            )
            yield (*path, "vocabulary"), message


def _path(context: Context, network_input: Input) -> Path:
    """Return the path of an input."""
    return ("inputs", network_input.name) if context.spec.inputs else ("input",)


def unmasked_padding(context: Context) -> Iterator[Finding]:
    """Sequences of a fixed length, reduced to one result, without a mask."""
    for network_input in context.network.inputs:
        if (
            not isinstance(network_input, TokenInput)
            or network_input.masked
            or network_input.steps in (None, 1)
        ):
            continue
        if effect := _effect_of_padding(context, network_input.name):
            message = f"without 'mask_zero', padding is read like any other token: {effect}"
            yield (*_path(context, network_input), "length"), message


def _effect_of_padding(context: Context, name: str) -> str:
    """Return the effect of padding of an input, empty if no sequence is reduced.

    Nor has it one that is known if a result has the time steps of the input.
    """
    if name in context.stepwise:
        return ""
    # The name of each state, and of what it is computed from.
    states, sequences = list[tuple[str, str]](), {name}
    for layer in context.network.layers:
        _, over = context.memory(layer)
        if over in sequences:
            return "attention may be paid to it"
        main = context.sources[layer.name][0]
        if main not in sequences and not (
            isinstance(layer, Joined) and not sequences.isdisjoint(layer.of)
        ):
            continue
        match layer:
            case AttentionPooling():
                return "attention may be paid to it"
            case Pooling(reduction=reduction) if reduction.if_padded:
                return reduction.if_padded
            case Flatten():
                return "it has features of its own"
            case Recurrent() | Pooling() if len(layer.output) == 1:
                states.append((layer.name, layer.name if isinstance(layer, Recurrent) else main))
            case _ if len(layer.output) > 1:
                sequences.update((layer.name, *contexts_of(context.network, layer)))
            case _:
                pass
        ports = context.network.ports_of(layer.name)
        states += [(port.name, port.layer) for port in ports if port.state]
    if not states:
        return ""
    last, source = states[-1]
    state = "repeated state" if context.is_repeated(last) else "last state"
    below, _ = context.recurrent_below(source)
    # The backward direction ends at the first step, so padding on either side is harmful.
    if below is not None and below.merge:
        return f"the {state} of one direction comes after it"
    side = "left" if below is not None and below.backward else "right"
    return f"if it is on the {side}, the {state} comes after it"


def one_step(context: Context) -> Iterator[Finding]:
    """A sequence of one time step."""
    for network_input in context.network.inputs:
        if isinstance(network_input, SequenceInput) and network_input.steps == 1:
            message = "with a single time step, a recurrent layer has nothing to remember"
            yield (*_path(context, network_input), "length"), message


def many_parameters(context: Context) -> Iterator[Finding]:
    """Many more parameters than examples."""
    examples, trained = context.examples, context.parameters.trainable
    if examples is not None and trained > PARAMETERS_PER_EXAMPLE * examples:
        message = (
            f"{trained:,} trainable parameters for {examples:,} examples: the network may "
            "memorize them"
        )
        yield ("data", "examples"), message


def zero_is_padding(context: Context) -> Iterator[Finding]:
    """A single feature whose zeros count as padding."""
    for network_input in context.network.inputs:
        if (
            isinstance(network_input, NumericInput)
            and network_input.features == 1
            and network_input.mask_value == 0
        ):
            message = "a measured 0 counts as padding; use a value that never occurs"
            yield (*_path(context, network_input), "mask_value"), message


def padding_in_loss(context: Context) -> Iterator[Finding]:
    """Padded steps in the result, which the losses of the frameworks treat differently."""
    padded = masks(context.network)
    results = (layer.name for layer in context.network.results.values())
    origins = {name for result in results for name, _, _ in padded.get(result, ())}
    message = (
        "the result has padded steps: a Keras loss skips them, a PyTorch loss only if it is "
        "given the steps where 'model.mask(x)' is true"
    )
    for network_input in context.network.inputs:
        if network_input.name in origins and isinstance(network_input, TokenInput):
            # An input may share the embedding of another one.
            own = context.spec.inputs and context.spec.inputs[network_input.name].embedding
            path = _path(context, network_input) if own else ()
            shared = isinstance(own, str)
            yield (*path, "embedding", *(() if shared else ("mask_zero",))), message
        elif network_input.name in origins:
            yield (*_path(context, network_input), "mask_value"), message
