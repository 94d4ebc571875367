#!/bin/sh
# Which backend should be the default on a GPU: every one that runs there, on ShuffleNetV2 x0.5 and x1.0, at the batches
# and input sizes that studies use. It has not been run yet. Needs a GPU that torch sees and that nobody else uses; the
# backend onnxruntime takes part where the package onnxruntime-gpu is installed in place of onnxruntime.
# The default should be the one whose ratio x1.0 / x0.5 is nearest to that of the multiply-adds and whose interval is
# narrow, among those that are ready in seconds.
# usage: benchmarks/gpu_latency.sh [FOLDER FOR THE RESULTS] [DEVICE]
set -eu
out=${1:-docs/results/gpu_latency}
device=${2:-cuda:0}
here=$(dirname "$0")
backends=cuda-graph,torch,torch-eager,torch-compile
if python -c "import onnxruntime, sys; sys.exit('CUDAExecutionProvider' not in onnxruntime.get_available_providers())"; then
    backends=onnxruntime,$backends
fi
mkdir -p "$out"
nvidia-smi --query-gpu=name,driver_version,clocks.sm,clocks.mem,power.limit --format=csv >"$out/gpu.csv"
pytest -q -m "slow or not slow" "$here/../tests/latency/test_latency_backends.py" \
    "$here/../tests/latency/test_latency_compiled.py" "$here/../tests/latency/test_latency_onnx_runtime.py"
for batch in 1 8 64; do
    python "$here/latency_backends.py" --device "$device" --backends "$backends" --batch "$batch" \
        --input-size 32 --stem cifar | tee "$out/batch${batch}_32.txt"
    python "$here/latency_backends.py" --device "$device" --backends "$backends" --batch "$batch" \
        --input-size 224 --stem stock | tee "$out/batch${batch}_224.txt"
done
