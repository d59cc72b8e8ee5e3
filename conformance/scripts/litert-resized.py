"""LiteRT resizes the input of a recurrent network with fixed sizes, and still runs the old ones."""

import keras
import numpy as np
from ai_edge_litert.interpreter import Interpreter

model = keras.Sequential([keras.Input((None, 3)), keras.layers.GRU(2)])
model(np.zeros((2, 5, 3), np.float32))
signature = [keras.InputSpec(shape=(2, 5, 3), dtype="float32", name="x")]
model.export("/tmp/fixed.tflite", format="litert", input_signature=signature, verbose=False)
run = Interpreter("/tmp/fixed.tflite").get_signature_runner()

x = np.random.default_rng(0).standard_normal((2, 9, 3)).astype(np.float32)
for batch in (x[:, :5], x):
    print(batch.shape, "expected", np.asarray(model(batch)).tolist())
    print(batch.shape, "received", next(iter(run(x=batch).values())).tolist())
