#!/bin/sh
# Proxy training on a GPU: images a second beside a tutorial's recipe and a hand-tuned loop, the total of 1, 2 and 4
# trials on one GPU, and the tests that need one. It has not been run yet. Needs a GPU that torch sees and that nobody
# else uses; ARCHSEARCH_TEST_CIFAR10 may name a folder with CIFAR-10's train.npz, else images are random.
# The ratio to (a) should be 10 or more.
# usage: benchmarks/gpu_training.sh [FOLDER FOR THE RESULTS] [DEVICE]
set -eu
out=${1:-docs/results/gpu_training}
device=${2:-cuda}
here=$(dirname "$0")
mkdir -p "$out"
nvidia-smi --query-gpu=name,driver_version,clocks.sm,clocks.mem,power.limit --format=csv >"$out/gpu.csv"
pytest -q -k "gpu or cuda" "$here/../tests/training" "$here/../tests/search" | tee "$out/tests.txt"
for batch in 128 512; do
    python "$here/training_throughput.py" --device "$device" --batch "$batch" --images 40000 --rounds 5 --several 1 2 4 \
        --json "$out/batch$batch.json" | tee "$out/batch$batch.txt"
done
