"""Advice on the input, the embedding and the training data."""

from __future__ import annotations

from collections.abc import Iterator

from rnnspec.lint.context import Context, Finding
from rnnspec.spec.models import Attention

# The thresholds are explained on the pages of L201, L205 and L208.
LITTLE_DATA = 10_000
ROUND = 1_000
PARAMETERS_PER_EXAMPLE = 100


def pretrain(context: Context) -> Iterator[Finding]:
    """An embedding with most of the parameters, and little data to train it."""
    embedding, examples = context.spec.embedding, context.examples
    if embedding is None or examples is None or examples >= LITTLE_DATA or not embedding.trainable:
        return
    size, total = embedding.vocabulary * embedding.dim, context.parameters.total
    if embedding.weights is None and 2 * size > total:
        message = (
            f"the embedding has {size:,} of {total:,} parameters, and {examples:,} examples are "
            "few to train them; start from pretrained 'weights'"
        )
        yield ("embedding", "vocabulary"), message


def frozen_noise(context: Context) -> Iterator[Finding]:
    """Vectors that are neither pretrained nor trained."""
    embedding = context.spec.embedding
    if embedding is not None and not embedding.trainable and embedding.weights is None:
        message = "without 'weights' the vectors are random and stay random"
        yield ("embedding", "trainable"), message


def wide_embedding(context: Context) -> Iterator[Finding]:
    """An embedding with more dimensions than tokens."""
    embedding = context.spec.embedding
    # The width of pretrained vectors comes from their file, however few of them are used.
    if embedding is None or embedding.weights is not None:
        return
    if embedding.dim > embedding.vocabulary:
        message = (
            f"{embedding.vocabulary} tokens need at most {embedding.vocabulary} dimensions, "
            f"received {embedding.dim}"
        )
        yield ("embedding", "dim"), message


def one_token(context: Context) -> Iterator[Finding]:
    """A vocabulary of padding and a single token."""
    embedding = context.spec.embedding
    if embedding is not None and embedding.mask_zero and embedding.vocabulary == 2:
        message = "token 0 is padding, so every real time step has the same token, 1"
        yield ("embedding", "vocabulary"), message


def uncounted_padding(context: Context) -> Iterator[Finding]:
    """A round vocabulary, which may count words but not the padding token."""
    embedding = context.spec.embedding
    if embedding is not None and embedding.mask_zero and embedding.vocabulary % ROUND == 0:
        message = (
            f"token 0 is padding: for {embedding.vocabulary:,} words, use a vocabulary of "
            f"{embedding.vocabulary + 1:,}"
        )
        yield ("embedding", "vocabulary"), message


def unmasked_padding(context: Context) -> Iterator[Finding]:
    """Sequences of a fixed length, reduced to one result, without a mask."""
    embedding, length = context.spec.embedding, context.spec.input.length
    if embedding is None or embedding.mask_zero or length in (None, 1):
        return
    effect = _effect_of_padding(context)
    if effect:
        message = f"without 'mask_zero', padding is read like any other token: {effect}"
        yield ("input", "length"), message


_EFFECTS: dict[object, str] = {
    "mean": "it counts in the mean",
    "sum": "it counts in the sum",
    "max": "the maximum may come from it",
    "last_step": "the last step may be padding",
    "flatten": "it has features of its own",
}


def _effect_of_padding(context: Context) -> str:
    """Return the effect of padding on a reduced sequence, empty if no sequence is reduced."""
    whole = context.read_whole
    if not whole:
        return ""
    repeated = context.is_repeated(whole[-1])
    # A repeat takes the last state, whatever the head pools later.
    heads = () if repeated else context.heads.values()
    for part in (part for head in heads for part in head.poolings):
        if isinstance(part, Attention):
            return "attention may be paid to it"
        if part in _EFFECTS:
            return _EFFECTS[part]
    state = "repeated state" if repeated else "last state"
    # The backward direction ends at the first step, so padding on either side is harmful.
    if whole[-1].declared.bidirectional:
        return f"the {state} of one direction comes after it"
    return f"if it is on the right, the {state} comes after it"


def one_step(context: Context) -> Iterator[Finding]:
    """A sequence of one time step."""
    if context.spec.input.length == 1:
        message = "with a single time step, a recurrent layer has nothing to remember"
        yield ("input", "length"), message


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
    section = context.spec.input
    if section.features == 1 and section.mask_value == 0:
        message = "a measured 0 counts as padding; use a value that never occurs"
        yield ("input", "mask_value"), message


def padding_in_loss(context: Context) -> Iterator[Finding]:
    """Padded steps in the result, which the losses of the frameworks treat differently."""
    if context.network.pads:
        message = (
            "the result has padded steps: a Keras loss skips them, a PyTorch loss only if it is "
            "given the steps where 'model.mask(x)' is true"
        )
        tokens = context.spec.embedding is not None
        yield ("embedding", "mask_zero") if tokens else ("input", "mask_value"), message
