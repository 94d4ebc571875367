#!/bin/sh
# The 200-trial study on full CIFAR-10 on one GPU, and its front as files; continues where it stopped.
# Needs a GPU that torch sees, and CIFAR-10 (downloaded once) or DATASET=npz:FOLDER. It has not been run yet.
# usage: benchmarks/gpu_study.sh [FOLDER FOR THE RESULTS]
set -eu
out=${1:-docs/results/cifar10_gpu}
dataset=${DATASET:-cifar10}
archsearch run --study cifar10 --device cuda --trials 200 --set "dataset=$dataset"
archsearch pareto --study cifar10 --plot --png --csv --out "$out"
nvidia-smi --query-gpu=name,driver_version,clocks.sm,clocks.mem --format=csv >"$out/gpu.csv"
python -c "import torch, torchvision, optuna; print(torch.__version__, torchvision.__version__, optuna.__version__)" >"$out/versions.txt"
