"""Keras on TensorFlow exports no ONNX file if an output has the name of an input."""

import keras

x, h = keras.Input((None, 3), name="x"), keras.Input((4,), name="h")
y, last = keras.layers.GRU(4, return_sequences=True, return_state=True)(x, initial_state=h)

for name in ("h_out", "h"):
    model = keras.Model({"x": x, "h": h}, {"y": y, name: last})
    model({"x": keras.ops.zeros((2, 5, 3)), "h": keras.ops.zeros((2, 4))})
    print(name, "expected a file")
    try:
        model.export("/tmp/names.onnx", format="onnx", verbose=False)
        print(name, "received one")
    except ValueError as error:
        print(name, "received ValueError:", error)
