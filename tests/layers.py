"""Who may include whom: runtime/base <- ir <- codegen <- compiler; the runtime sees runtime/ only. Every header compiles alone. No
file of these folders names a model or an architecture: they live in models/."""
import os
import re
import shutil
import subprocess
import sys

root = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "..")
ALLOWED = {
    "runtime/base": ["runtime/base"],
    "runtime": ["runtime"],
    "ir": ["ir", "runtime/base"],
    "codegen": ["codegen", "ir", "runtime"],
    "compiler": ["compiler", "codegen", "ir", "runtime"],
}
NAMES = re.compile(r"(?i)\b(llama|smollm|qwen|mistral|mixtral|gemma|phi-?[0-9]|minilm|\w*bert|t5|whisper|\w*vit|resnet|mobilenet|unet|mamba|rwkv|"
                   r"gpt-?[0-9]|transformers?|lstm)(\b|[0-9_])")
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"')


def layer(path):
    for name in ("runtime/base", "runtime", "ir", "codegen", "compiler"):
        if path.startswith(name + "/"):
            return name
    return None


def sources():
    for top in ("runtime", "ir", "codegen", "compiler"):
        for folder, _, files in os.walk(os.path.join(root, top)):
            for name in sorted(files):
                if name.endswith((".c", ".h", ".def", ".inc", ".l", ".y")):
                    yield os.path.relpath(os.path.join(folder, name), root)


bad = []
for top in ("runtime", "ir", "codegen", "compiler"):
    for folder, _, files in os.walk(os.path.join(root, top)):
        for name in sorted(files):
            path = os.path.join(folder, name)
            with open(path, encoding="utf-8") as f:
                for number, line in enumerate(f, 1):
                    if NAMES.search(line):
                        bad.append(f"{os.path.relpath(path, root)}:{number}: names a model: {NAMES.search(line).group(0)}")
headers = []
for path in sources():
    allowed = ALLOWED[layer(path)]
    if path.endswith(".h"):
        headers.append(path)
    with open(os.path.join(root, path), encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            match = INCLUDE.match(line)
            if match and layer(match.group(1)) and not any(match.group(1).startswith(a + "/") for a in allowed):
                bad.append(f"{path}:{number}: {layer(path)} may not include {match.group(1)}")
for path in headers:
    done = subprocess.run(["cc", "-std=gnu11", "-D_GNU_SOURCE", "-fsyntax-only", "-I", root, "-x", "c", path], cwd=root, capture_output=True, text=True)
    if done.returncode:
        bad.append(f"{path}: does not compile alone: {done.stderr.strip().splitlines()[0]}")
public = "#include \"runtime/weir.h\"\nint main() { return 0; }\n"
if shutil.which("c++"):
    done = subprocess.run(["c++", "-fsyntax-only", "-I", root, "-x", "c++", "-"], input=public, capture_output=True, text=True)
    if done.returncode and "not found" not in done.stderr:
        bad.append("runtime/weir.h: does not compile in C++: " + done.stderr.strip())
else:
    print("runtime/weir.h in C++: skipped, there is no c++ here")
print("\n".join(bad) if bad else f"{len(headers)} headers compile alone; layers hold")
sys.exit(1 if bad else 0)
