"""The record of the ONNX backend."""

from rnnspec.backends.base import Backend
from rnnspec.backends.contract import QUANTIZE

ONNX = Backend(
    name="onnx",
    title="ONNX Runtime",
    format="ONNX",
    package="rnnspec.backends.onnx",
    distribution="onnxruntime",
    # Before it, RNN returns another final state for some lengths of sequences.
    minimum=(1, 26),
    needed=("onnx",),
    extra="onnx",
    forms=("inference", "step"),
    level="forward",
    # The recurrent operators of ONNX Runtime have float32 alone on a CPU.
    dtypes=("float32",),
    ending=".onnx.txt",
    files=("{name}.onnx",),
    options=(QUANTIZE,),
    # Its recurrent tanh is 2 sigmoid(2 x) - 1, so near 0 the error is that of a value near 1.
    function_error=2.0**-23,
    loading=(
        "import onnxruntime",
        "session = onnxruntime.InferenceSession({path!r})",
    ),
    loading_begin="begin = onnxruntime.InferenceSession({begin!r})",
)
