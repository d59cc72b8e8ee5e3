"""Keras exports an einsum over steps to LiteRT as an operator of TensorFlow, which LiteRT lacks."""

import keras
import numpy as np
from ai_edge_litert.interpreter import Interpreter

x, score = keras.Input((5, 3), name="x"), keras.Input((5, 1), name="score")
model = keras.Model({"x": x, "score": score}, keras.ops.einsum("bti,btf->bf", score, x))
batch = {"x": np.ones((2, 5, 3), np.float32), "score": np.ones((2, 5, 1), np.float32)}
print("expected", np.asarray(model(batch)).tolist())
signature = {
    name: keras.InputSpec(shape=array.shape, dtype="float32", name=name)
    for name, array in batch.items()
}
model.export("/tmp/einsum.tflite", format="litert", input_signature=[signature], verbose=False)
try:
    run = Interpreter("/tmp/einsum.tflite").get_signature_runner()
    print("received", next(iter(run(**batch).values())).tolist())
except RuntimeError as error:
    print("received", error)
