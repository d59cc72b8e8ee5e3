"""ONNX files that leave out what ONNX makes optional, one thing each. Those of other cases do not."""

from __future__ import annotations

from rnnspec_conformance.scenario import Mistake, Scenario, batch

_OPERATORS = {"lstm": "LSTM", "gru": "GRU", "simple": "RNN"}


def _network(cell: str, head: str) -> str:
    return f"input: {{features: 3}}\nrnn: {{type: {cell}, units: 4}}\nhead: {{{head}, units: 2}}"


def _numbers(cell: str, key: str, words: str) -> Scenario:
    return Scenario(
        name=f"onnx-short-alphas-{cell}",
        fact=f"In activation_alpha and activation_beta of {words}, activations that take no number may have none, as in ONNX Runtime.",
        consequence="The file is refused, or activations get the numbers of others. With a number for each activation, every reading gives the same.",
        omission="unused numbers",
        spec=f"""
input: {{features: 3}}
rnn: {{type: {cell}, units: 4, {key}: hard_sigmoid}}
head: {{units: 2}}
""",
        mistakes=(
            Mistake(
                name="the default slope of 0.2",
                instead={": hard_sigmoid": ": legacy_hard_sigmoid"},
            ),
        ),
    )


CASES = (
    *(
        Scenario(
            name=f"onnx-unnamed-steps-{operator.lower()}",
            fact=f"If only the last state of {operator} is read, the first output, that of all steps, may have no name.",
            consequence="The first output that has a name is taken for the first one, so that what comes after the layer gets all steps.",
            omission="output names",
            spec=_network(cell, "pooling: last"),
            mistakes=(Mistake(name="all steps", instead={"pooling: last": "pooling: none"}),),
        )
        for cell, operator in _OPERATORS.items()
    ),
    *(
        Scenario(
            name=f"onnx-unnamed-state-{operator.lower()}",
            fact=f"If only the output of all steps of {operator} is read, the last state may be left out.",
            consequence="The only output is taken for the last state.",
            omission="output names",
            spec=_network(cell, "pooling: none"),
            mistakes=(Mistake(name="last state", instead={"pooling: none": "pooling: last"}),),
        )
        for cell, operator in _OPERATORS.items()
    ),
    *(
        Scenario(
            name=f"onnx-absent-state-{operator.lower()}",
            fact=f"Without initial states, {operator} starts from zeros, whatever the batch size.",
            consequence="The file is refused because the batch size is open, or a call starts from the state that the call before it has left.",
            omission="first states",
            spec=_network(cell, "pooling: last"),
            batches=(batch(2, 5), batch(2, 5), batch(3, 4)),
            mistakes=(
                Mistake(name="starts from the last state of the call before", keeps_state=True),
            ),
        )
        for cell, operator in _OPERATORS.items()
    ),
    _numbers("lstm", "recurrent_activation", "an LSTM with HardSigmoid and Tanh"),
    _numbers("gru", "activation", "a GRU with Sigmoid and HardSigmoid"),
    Scenario(
        name="onnx-untyped-zeros",
        fact="ConstantOfShape without a value gives zeros in float32, from which an LSTM may start.",
        consequence="The zeros have another type, and the file is refused.",
        omission="type of zeros",
        spec=_network("lstm", "pooling: last"),
        batches=(batch(2, 5), batch(2, 5)),
        mistakes=(Mistake(name="starts from the last state of the call before", keeps_state=True),),
    ),
)
