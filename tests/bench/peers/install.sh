#!/usr/bin/env bash
# Installs the engines that Weir is compared with, as their users install them from the Python package index, into a virtual environment:
#   tests/bench/peers/install.sh [FOLDER]     default: $WEIR_HOME/peers
set -euo pipefail
home=${WEIR_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/weir}
folder=${1:-$home/peers}
[ -x "$folder/bin/python" ] || python3 -m venv "$folder"
"$folder/bin/pip" install -q --disable-pip-version-check numpy onnxruntime onnx llama-cpp-python
echo "$folder/bin/python"
