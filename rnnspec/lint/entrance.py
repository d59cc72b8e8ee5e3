"""Advice on the input, the embedding, and the data there is to learn from."""

from __future__ import annotations

from collections.abc import Iterator

from rnnspec.lint.context import Context, Finding

LITTLE_DATA = 10_000
ROUND = 1_000
PARAMETERS_AN_EXAMPLE = 100


def pretrain(context: Context) -> Iterator[Finding]:
    """An embedding that has most of the parameters, and little data to learn them from."""
    embedding, examples = context.spec.embedding, context.examples
    if embedding is None or examples is None or examples >= LITTLE_DATA or not embedding.trainable:
        return
    held, total = embedding.vocabulary * embedding.dim, context.parameters.total
    if embedding.weights is None and 2 * held > total:
        message = (
            f"the embedding holds {held:,} of {total:,} parameters, and {examples:,} examples are "
            "few to learn them from; start from pretrained 'weights'"
        )
        yield ("embedding", "vocabulary"), message


def frozen_noise(context: Context) -> Iterator[Finding]:
    """Vectors that are neither read nor learnt."""
    embedding = context.spec.embedding
    if embedding is not None and not embedding.trainable and embedding.weights is None:
        message = "without 'weights' the vectors are random, and stay so"
        yield ("embedding", "trainable"), message


def wide_embedding(context: Context) -> Iterator[Finding]:
    """More numbers a token than there are tokens."""
    embedding = context.spec.embedding
    # Pretrained vectors are as wide as they are, however few of them are read.
    if embedding is None or embedding.weights is not None:
        return
    if embedding.dim > embedding.vocabulary:
        message = (
            f"{embedding.vocabulary} tokens differ as much in {embedding.vocabulary} numbers "
            f"as in {embedding.dim}"
        )
        yield ("embedding", "dim"), message


def one_token(context: Context) -> Iterator[Finding]:
    """Padding, and a single token that is not."""
    embedding = context.spec.embedding
    if embedding is not None and embedding.mask_zero and embedding.vocabulary == 2:
        message = "token 0 is padding, so that every real step is the same token, 1"
        yield ("embedding", "vocabulary"), message


def no_row_for_padding(context: Context) -> Iterator[Finding]:
    """A vocabulary that looks like a number of words, without the row of padding."""
    embedding = context.spec.embedding
    if embedding is not None and embedding.mask_zero and embedding.vocabulary % ROUND == 0:
        message = (
            f"token 0 is padding: if there are {embedding.vocabulary:,} words beside it, the "
            f"vocabulary is {embedding.vocabulary + 1:,}"
        )
        yield ("embedding", "vocabulary"), message


def padding_is_read(context: Context) -> Iterator[Finding]:
    """Rows of one length, one result of all their steps, and no padding."""
    embedding, length = context.spec.embedding, context.spec.input.length
    if embedding is None or embedding.mask_zero or length in (None, 1):
        return
    effect = _effect_of_padding(context)
    if effect:
        message = f"without 'mask_zero' padding is read like any token: {effect}"
        yield ("input", "length"), message


def _effect_of_padding(context: Context) -> str:
    """Say what padding does to what becomes of all steps; nothing where each step stays one."""
    whole = context.read_whole
    if not whole:
        return ""
    repeated = context.is_repeated(whole[-1])
    pooling = context.spec.head.pooling if context.spec.head and not repeated else "last"
    if pooling == "mean":
        return "its steps count in the mean"
    if pooling == "max":
        return "the maximum may be that of its steps"
    state = "the repeated state" if repeated else "the last state"
    if whole[-1].said.bidirectional:
        return f"of one direction, {state} is that after it"
    return f"where it stands on the right, {state} is that after it"


def one_step(context: Context) -> Iterator[Finding]:
    """A sequence that is none."""
    if context.spec.input.length == 1:
        yield ("input", "length"), "over one step a recurrent layer has nothing to remember"


def many_parameters(context: Context) -> Iterator[Finding]:
    """Far more to learn than to learn from."""
    examples, learnt = context.examples, context.parameters.trainable
    if examples is not None and learnt > PARAMETERS_AN_EXAMPLE * examples:
        message = (
            f"{learnt:,} trainable parameters for {examples:,} examples: it may learn them by heart"
        )
        yield ("data", "examples"), message


def zero_is_padding(context: Context) -> Iterator[Finding]:
    """One number a step, and 0 means that there is none."""
    given = context.spec.input
    if given.features == 1 and given.mask_value == 0:
        message = "a step that measures 0 is taken for padding; mask with a value that never occurs"
        yield ("input", "mask_value"), message


def padding_in_loss(context: Context) -> Iterator[Finding]:
    """Padded steps in the result, which the losses of the frameworks take differently."""
    if context.network.pads:
        message = (
            "the result has padded steps: a Keras loss leaves them out, a PyTorch loss only if it "
            "is given the steps where 'model.mask(x)' is true"
        )
        tokens = context.spec.embedding is not None
        yield ("embedding", "mask_zero") if tokens else ("input", "mask_value"), message
