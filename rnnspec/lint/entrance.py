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
    if embedding is None or examples is None or examples >= LITTLE_DATA:
        return
    held, total = embedding.vocabulary * embedding.dim, context.parameters
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
    if embedding is not None and embedding.dim > embedding.vocabulary:
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
    """Rows of one length, a state after their last step, and no padding."""
    embedding, head, length = context.spec.embedding, context.spec.head, context.spec.input.length
    if embedding is None or embedding.mask_zero or head is None or length in (None, 1):
        return
    if context.spec.gives_state(len(context.spec.rnn) - 1):
        message = (
            "without 'mask_zero' padding is read like any token: where it stands on the right, "
            "the last state is that after the padding"
        )
        yield ("input", "length"), message


def one_step(context: Context) -> Iterator[Finding]:
    """A sequence that is none."""
    if context.spec.input.length == 1:
        yield ("input", "length"), "over one step a recurrent layer has nothing to remember"


def many_parameters(context: Context) -> Iterator[Finding]:
    """Far more to learn than to learn from."""
    examples, total = context.examples, context.parameters
    if examples is not None and total > PARAMETERS_AN_EXAMPLE * examples:
        message = f"{total:,} parameters for {examples:,} examples: it may learn them by heart"
        yield ("data", "examples"), message


def zero_is_padding(context: Context) -> Iterator[Finding]:
    """One number a step, and 0 means that there is none."""
    given = context.spec.input
    if given.features == 1 and given.mask_value == 0:
        message = "a step that measures 0 is taken for padding; mask with a value that never occurs"
        yield ("input", "mask_value"), message
