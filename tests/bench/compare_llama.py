"""SmolLM2 side by side with llama.cpp, as llama-cpp-python installs it: same file, same threads, interleaved rounds, medians with spread.

    tests/bench/peers/install.sh                                  once
    $(tests/bench/peers/install.sh) tests/bench/compare_llama.py [--rounds 5] [--prompt 512] [--gen 64] [--threads 2] [--weir ./weir]

The peer runs through its C interface (llama_decode), so no Python work is timed on either side.
"""
import argparse
import ctypes
import json
import os
import statistics
import subprocess
import time

import llama_cpp


def peer_open(path, threads, context):
    llama_cpp.llama_log_set(ctypes.cast(None, llama_cpp.llama_log_callback), ctypes.c_void_p(0))
    llama_cpp.llama_backend_init()
    model = llama_cpp.llama_model_load_from_file(path.encode(), llama_cpp.llama_model_default_params())
    params = llama_cpp.llama_context_default_params()
    params.n_ctx, params.n_batch, params.n_ubatch = context, context, 512
    params.n_threads = params.n_threads_batch = threads
    return model, llama_cpp.llama_init_from_model(model, params)


def peer_tokens(model, text):
    vocab = llama_cpp.llama_model_get_vocab(model)
    data = text.encode()
    out = (llama_cpp.llama_token * (len(data) + 8))()
    count = llama_cpp.llama_tokenize(vocab, data, len(data), out, len(out), False, False)
    return list(out[:count])


def peer_round(context, tokens, gen):
    llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(context), True)
    batch = (llama_cpp.llama_token * len(tokens))(*tokens)
    start = time.perf_counter()
    llama_cpp.llama_decode(context, llama_cpp.llama_batch_get_one(batch, len(tokens)))
    llama_cpp.llama_synchronize(context)
    prefill = time.perf_counter() - start
    one = (llama_cpp.llama_token * 1)()
    start = time.perf_counter()
    for i in range(gen):
        one[0] = tokens[i % len(tokens)]
        llama_cpp.llama_decode(context, llama_cpp.llama_batch_get_one(one, 1))
        llama_cpp.llama_synchronize(context)
    return len(tokens) / prefill, gen / (time.perf_counter() - start)


def weir_round(weir, model, prompt, gen, threads):
    done = subprocess.run([weir, "bench", model, "--prompt", str(prompt), "--gen", str(gen), "--threads", str(threads), "--json"],
                          capture_output=True, text=True, check=True)
    result = json.loads(done.stdout)
    return result["prefill_tokens_per_s"]["median"], result["decode_tokens_per_s"]["median"], result


def line(name, weir, peer):
    ratio = statistics.median(weir) / statistics.median(peer)
    spread = lambda x: f"{statistics.median(x):8.1f} ({min(x):.1f}..{max(x):.1f})"
    print(f"{name:8} weir {spread(weir)}   llama.cpp {spread(peer)}   ratio {ratio:.2f}")


def main():
    home = os.environ.get("WEIR_HOME") or os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "weir")
    root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--gen", type=int, default=64)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--weir", default=os.path.join(root, "weir"))
    parser.add_argument("--gguf", default=os.path.join(home, "models", "smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"))
    args = parser.parse_args()
    with open(os.path.join(root, "LICENSE"), encoding="utf-8") as f:
        text = f.read()
    model, context = peer_open(args.gguf, args.threads, args.prompt + args.gen)
    tokens = peer_tokens(model, text)[: args.prompt]
    peer, weir = ([], []), ([], [])
    peer_round(context, tokens, 8)
    for _ in range(args.rounds):
        for kept, rate in zip(peer, peer_round(context, tokens, args.gen)):
            kept.append(rate)
        prefill, decode, last = weir_round(args.weir, "smollm2", args.prompt, args.gen, args.threads)
        weir[0].append(prefill)
        weir[1].append(decode)
    print(f"SmolLM2-135M-Instruct Q4_1, {args.threads} threads, prompt {args.prompt}, {args.gen} tokens, {args.rounds} rounds; tokens per second")
    print(f"llama-cpp-python {llama_cpp.__version__}; machine {json.dumps(last.get('machine'))}; roof {json.dumps(last.get('roof'))}")
    line("prefill", weir[0], peer[0])
    line("decode", weir[1], peer[1])


if __name__ == "__main__":
    main()
