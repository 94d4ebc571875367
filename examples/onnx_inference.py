"""Classify images with an exported model: `python onnx_inference.py model.onnx images.npy` needs onnxruntime alone."""

import json
import sys

import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession(sys.argv[1])
facts = session.get_modelmeta().custom_metadata_map
mean, std = (np.reshape(json.loads(facts[f"archsearch.{key}"]), (3, 1, 1)) for key in ("mean", "std"))
pixels = np.load(sys.argv[2]).transpose(0, 3, 1, 2) / 255  # uint8 (N, H, W, 3), H = W = archsearch.input_size
(logits,) = session.run(None, {"input": ((pixels - mean) / std).astype(np.float32)})
print([json.loads(facts["archsearch.classes"])[best] for best in logits.argmax(1)])
