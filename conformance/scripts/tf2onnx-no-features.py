"""tf2onnx reshapes to a size of 0, which means another thing in ONNX: the size that was there."""

import keras
import onnxruntime
import tensorflow as tf
import tf2onnx
from onnxruntime.capi.onnxruntime_pybind11_state import Fail

x = keras.Input((3,), name="x")
model = keras.Model(x, keras.layers.Dense(2)(x[:, None, :0]))
print("expected", model(tf.ones((2, 3))).numpy().tolist())
signature = [tf.TensorSpec((None, 3), tf.float32, name="x")]
proto, _ = tf2onnx.convert.from_keras(model, input_signature=signature, opset=18)
try:
    onnxruntime.InferenceSession(proto.SerializeToString())
except Fail as error:
    print("received", error)
