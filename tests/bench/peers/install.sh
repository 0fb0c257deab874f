#!/usr/bin/env bash
# Installs the engines that Weir is compared with, as their users install them from the Python package index, into a virtual environment:
#   tests/bench/peers/install.sh [FOLDER]     default: $WEIR_HOME/peers
# Prints the path of its Python. Versions are those that the index gives today; `run` records them with the results. llama-cpp-python is
# built from source by pip, for this machine. What cannot be installed is named and left out: its comparisons are skipped.
set -euo pipefail
home=${WEIR_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/weir}
folder=${1:-$home/peers}
[ -x "$folder/bin/python" ] || python3 -m venv "$folder"
for package in numpy onnx onnxruntime llama-cpp-python openvino matplotlib scipy-openblas32 onednn-cpu-gomp onednn-devel-cpu-gomp; do
  "$folder/bin/pip" install -q --disable-pip-version-check "$package" >&2 || echo "not installed: $package" >&2
done
# The newest oneDNN, which has other names and files of the same names: apart, the last one for OpenMP stays beside it.
[ -x "$folder/onednn/bin/python" ] || python3 -m venv "$folder/onednn"
"$folder/onednn/bin/pip" install -q --disable-pip-version-check onednn onednn-devel >&2 || echo "not installed: onednn" >&2
# llama.cpp's path for tiles (AMX) has been seen to fault: there it is built a second time without, and the faster of both is the rival.
if grep -q amx_tile /proc/cpuinfo && [ ! -d "$folder/without-amx" ]; then
  no_tiles="-mno-amx-tile -mno-amx-int8 -mno-amx-bf16"
  CMAKE_ARGS="-DCMAKE_C_FLAGS='$no_tiles' -DCMAKE_CXX_FLAGS='$no_tiles'" "$folder/bin/pip" install -q --disable-pip-version-check \
    --no-cache-dir --no-deps --no-binary llama-cpp-python --target "$folder/without-amx" llama-cpp-python >&2 || echo "not installed: llama.cpp without AMX" >&2
fi
echo "$folder/bin/python"
