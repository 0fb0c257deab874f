"""Faults of the world: full disks, signals, kills, a cache that vanishes, processes that do the same at once.

After each of them the same command gives the same answer, and nothing half-written is left.
"""
import json
import os
import random
import shutil
import signal
import subprocess
import threading
import time

import common
from common import MLP
from hostile import LM, SANITIZED, Hostile, count, kill_group, lm_gguf

VECTOR = "x=[1,2,3,4]"
KERNELS = """use std.nn;

/// Enough different kernels to keep compilers busy for a while.
model Busy {D = 64, H = 96, O = 3} {
  a: Linear{D, H, bias = true};
  b: Linear{H, D, bias = true};
  c: Linear{D, O};
  entry forward(x: f32[D]) -> f32[O] { return softmax(f32(c(tanh(b(gelu(a(f(x))))))), over = O); }
  entry other(x: f32[D]) -> f32[D] { return f32(sigmoid(b(relu(a(f(x)))))); }
}
"""
BUSY = ("run", "busy.weir", "--random", "1", "-e", "forward", "-i", "x=" + json.dumps([0.5] * 64).replace(" ", ""))


class Fault(Hostile):
    shared_home = False  # each test has a cache of its own

    def setUp(self):
        super().setUp()
        os.makedirs(self.home, exist_ok=True)
        self.write("m.weir", MLP)
        self.write("busy.weir", KERNELS)
        self.write("lm.weir", LM)
        self.write("lm.gguf", lm_gguf())

    def empty_home(self):
        shutil.rmtree(self.home, ignore_errors=True)
        os.makedirs(self.home)

    def answer(self, *args):
        """What a run gives, without its timings."""
        self.weir(*args, "--json", code=0)
        result = json.loads(self.out)
        result.pop("timings", None)
        return result


class Disk(Fault):
    def full(self, *args, sizes):
        """With each size as the most that a file may hold; the command fails cleanly until it fits."""
        failed = 0
        for size in sizes:
            self.empty_home()
            code = self.weir(*args, code=(0, 3), file_bytes=size, what=f"files of {size} bytes at most: weir {' '.join(args)}")
            failed += code == 3
            self.assert_clean()
        self.assertGreater(failed, 0)
        self.empty_home()
        self.weir(*args, code=0)

    def test_run(self):
        self.full("run", "m.weir", "--random", "1", "-i", VECTOR, sizes=(0, 100, 2000, 8192, 16384, 1 << 24))

    def test_build(self):
        self.full("build", "m.weir", "--random", "1", "--target", "cpu", "-o", "m.wpk", sizes=(0, 1000, 8192, 20000))

    def test_chat(self):
        self.full("chat", "lm.weir", "-w", "lm.gguf", "-p", "a", "-n", "2", sizes=(0, 50, 5000, 20000))

    def test_outputs(self):
        self.weir("run", "m.weir", "--random", "1", "-i", VECTOR, code=0)
        for target in ("o.npy", "o.npz"):
            self.weir("run", "m.weir", "--random", "1", "-i", VECTOR, "-o", target, code=3, file_bytes=10)
            self.assertFalse(os.path.exists(self.path(target)))
        self.write("f.weir", MLP.replace("  up:", "    up  :"))
        before = open(self.path("f.weir"), encoding="utf-8").read()
        self.weir("fmt", "f.weir", code=3, file_bytes=10)
        self.assertEqual(open(self.path("f.weir"), encoding="utf-8").read(), before)
        self.weir("new", "fresh", code=3, file_bytes=10)
        self.assertFalse(os.path.exists(self.path("fresh.weir")))
        self.assert_clean()

    def test_full_standard_output(self):
        if not os.path.exists("/dev/full"):
            self.skipTest("no /dev/full")
        self.weir("run", "m.weir", "--random", "1", "-i", VECTOR, code=0)
        for args in (("run", "m.weir", "--random", "1", "-i", VECTOR), ("run", "m.weir", "--random", "1", "-i", VECTOR, "--json"),
                     ("show", "m.weir", "--random", "1"), ("check", "--json", "m.weir"), ("chat", "lm.weir", "-w", "lm.gguf", "-p", "a", "-n", "2"),
                     ("list",), ("tokenize", "lm.weir", "-w", "lm.gguf", "hello")):
            with open("/dev/full", "wb") as full:
                self.weir(*args, code=3, stdout=full)

    def mounted(self, options):
        place = self.path("disk")
        os.makedirs(place, exist_ok=True)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], capture_output=True)
        if done.returncode:
            self.skipTest("a small disk cannot be mounted here")
        self.addCleanup(subprocess.run, ["umount", "-l", place], capture_output=True)
        return place

    def test_small_disk(self):
        place = self.mounted("size=16k")
        env = dict(common.environment(self.home), WEIR_HOME=place)
        self.weir("run", "m.weir", "--random", "1", "-i", VECTOR, code=3, env=env)
        self.assert_error("space")
        self.home = place
        self.assert_clean()

    def test_read_only_disk(self):
        place = self.mounted("size=1m,ro")
        env = dict(common.environment(self.home), WEIR_HOME=os.path.join(place, "home"))
        self.weir("run", "m.weir", "--random", "1", "-i", VECTOR, code=3, env=env)
        self.weir("check", "m.weir", code=0, env=env)

    def test_home_that_is_no_folder(self):
        path = self.write("file", "x")
        for home in (path, os.path.join(path, "x"), "/proc/weir"):
            env = dict(common.environment(self.home), WEIR_HOME=home)
            self.weir("run", "m.weir", "--random", "1", "-i", VECTOR, code=3, env=env)
            self.assert_error("folder")

    def test_no_compiler(self):
        for changed in ({"CC": "/nowhere/cc"}, {"PATH": self.path("empty")}, {"CC": "false"}):
            env = dict(common.environment(self.home), **changed)
            self.weir("run", "m.weir", "--random", "1", "-i", VECTOR, code=3, env=env)
            self.assert_error("compiler")


class Signals(Fault):
    def interrupt(self, args, number, group, attempts, seed):
        """Sends the signal after random times within the command's own duration, from a cold cache; then the command works."""
        self.weir(*args, code=0)  # how long it takes, on this machine
        self.empty_home()
        start = time.monotonic()
        self.weir(*args, code=0)
        whole = time.monotonic() - start
        draw = random.Random(seed)
        stopped = 0
        for _ in range(attempts):
            self.empty_home()
            process = self.start(*args, start_new_session=True)
            time.sleep(draw.uniform(0.01, whole * 0.9))
            if group:
                kill_group(process, number)
            else:
                process.send_signal(number)
            # Before the handler is there and after the last look at the flag nothing else can happen than what always happens.
            stopped += self.finish(process, f"signal {number}: weir {' '.join(args)[:100]}", (0, 130)) == 130
            self.assert_clean()
        self.assertGreater(stopped, 0, f"none of {attempts} was interrupted")
        self.weir(*args, code=0)

    def test_interrupted_run(self):
        self.interrupt(BUSY, signal.SIGINT, False, count(8), 11)

    def test_interrupted_run_with_its_compilers(self):
        self.interrupt(BUSY, signal.SIGINT, True, count(8), 12)

    def test_terminated_build(self):
        self.interrupt(("build", "busy.weir", "--random", "1", "--target", "cpu", "-o", "b.wpk"), signal.SIGTERM, False, count(6), 13)

    def test_interrupted_chat(self):
        self.interrupt(("chat", "lm.weir", "-w", "lm.gguf", "-p", "a", "-n", "40"), signal.SIGINT, False, count(6), 14)

    def test_interrupted_conversation(self):
        self.weir("chat", "lm.weir", "-w", "lm.gguf", "-p", "a", "-n", "2", code=0)
        process = subprocess.Popen([common.WEIR, "chat", "lm.weir", "-w", "lm.gguf", "-n", "2"], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=self.folder, env=common.environment(self.home))
        process.stdin.write(b"hello\n")
        process.stdin.flush()
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        try:
            code = process.wait(timeout=30)  # it waits for a line that does not come
        finally:
            process.kill()
            process.communicate()
        self.assertEqual(code, 130)

    def test_waiting_for_a_lock_is_interrupted(self):
        wanted = self.answer(*BUSY)
        key = os.listdir(os.path.join(self.home, "locks"))[0]
        shutil.rmtree(os.path.join(self.home, "packages"))
        holder = subprocess.Popen(["flock", os.path.join(self.home, "locks", key), "sleep", "60"], start_new_session=True)
        try:
            time.sleep(0.5)
            process = self.start(*BUSY)
            time.sleep(1)
            self.assertIsNone(process.poll(), "it did not wait for the lock")
            process.send_signal(signal.SIGINT)
            self.finish(process, "waiting for a lock", 130)
        finally:
            kill_group(holder)
            holder.wait()
        self.assertEqual(self.answer(*BUSY), wanted)

    def test_broken_pipe(self):
        done = subprocess.run(f"'{common.WEIR}' show m.weir --random 1 | true", shell=True, capture_output=True, cwd=self.folder,
                              env=common.environment(self.home), timeout=60)
        self.assertNotIn(b"rror", done.stderr)


class Kills(Fault):
    def test_kill_at_any_time(self):
        wanted = self.answer(*BUSY)
        draw, whole = random.Random(21), 0.0
        self.empty_home()
        start = time.monotonic()
        self.weir(*BUSY, code=0)
        whole = time.monotonic() - start
        for attempt in range(count(10)):
            if attempt % 3 == 0:
                self.empty_home()  # else go on with what the killed one left
            else:
                shutil.rmtree(os.path.join(self.home, "packages"), ignore_errors=True)
            process = self.start(*BUSY, start_new_session=True)
            time.sleep(draw.uniform(0.0, whole))
            kill_group(process)
            process.communicate()
            if attempt % 2:
                self.assertEqual(self.answer(*BUSY), wanted)
        self.assertEqual(self.answer(*BUSY), wanted)
        for folder in ("packages", "objects"):
            for name in os.listdir(os.path.join(self.home, folder)):
                if name.endswith(".wpk"):
                    self.weir("verify", os.path.join(self.home, folder, name), code=0)

    def test_what_a_kill_left_is_removed_later(self):
        left = []
        for folder in ("packages", "objects", "hashes", "tokenizers"):
            os.makedirs(os.path.join(self.home, folder))
            for age, kept in ((7200, False), (60, True)):
                path = os.path.join(self.home, folder, f"x.tmp-{age}")
                with open(path, "wb") as file:
                    file.write(b"half")
                os.utime(path, (time.time() - age, time.time() - age))
                left.append((path, kept))
        self.weir(*BUSY, code=0)
        for path, kept in left:
            self.assertEqual(os.path.exists(path), kept, path)

    def test_damaged_cache_files(self):
        """What a power cut may leave: every file of the cache empty, cut or full of zeros."""
        chat = ("chat", "lm.weir", "-w", "lm.gguf", "-p", "a", "-n", "3", "--temperature", "0")
        wanted = self.answer(*chat)
        for damage in (lambda data: b"", lambda data: data[:len(data) // 2], lambda data: bytes(len(data))):
            for folder, _, files in os.walk(self.home):
                for name in files:
                    path = os.path.join(folder, name)
                    with open(path, "rb") as file:
                        data = file.read()
                    with open(path, "wb") as file:
                        file.write(damage(data))
            self.assertEqual(self.answer(*chat), wanted)


class Together(Fault):
    def test_two_processes_build_the_same(self):
        for args in (BUSY, ("build", "busy.weir", "--random", "1", "--target", "cpu", "-o", "b.wpk")):
            self.empty_home()
            processes = [self.start(*args, "--json") for _ in range(3)]
            results = []
            for process in processes:
                self.finish(process, "one of three", 0)
                results.append(json.loads(self.out))
                for key in ("timings", "seconds", "cached"):
                    results[-1].pop(key, None)
            self.assertEqual(results[0], results[1])
            self.assertEqual(results[0], results[2])
            self.assertEqual(len(os.listdir(os.path.join(self.home, "packages"))), 1)
            self.assert_clean()
        self.weir("verify", "b.wpk", code=0)

    def test_one_of_two_is_killed(self):
        wanted = self.answer(*BUSY)
        draw = random.Random(31)
        for _ in range(count(4)):
            self.empty_home()
            first = self.start(*BUSY, start_new_session=True)
            second = self.start(*BUSY, "--json")
            time.sleep(draw.uniform(0.05, 1))
            kill_group(first)
            first.communicate()
            self.finish(second, "the one that lives", 0)
            result = json.loads(self.out)
            result.pop("timings", None)
            self.assertEqual(result, wanted)

    def test_cache_deleted_while_used(self):
        wanted = self.answer(*BUSY)
        ended = threading.Event()

        def delete():
            draw = random.Random(41)
            while not ended.wait(draw.uniform(0.01, 0.4)):
                shutil.rmtree(self.home, ignore_errors=True)

        deleter = threading.Thread(target=delete)
        deleter.start()
        try:
            for _ in range(count(10)):
                # A folder that goes between two steps may be an error of the world, never more.
                self.weir(*BUSY, code=(0, 3))
        finally:
            ended.set()
            deleter.join()
        self.assertEqual(self.answer(*BUSY), wanted)
        process = self.start("chat", "lm.weir", "-w", "lm.gguf", "-p", "a", "-n", "60", "--temperature", "0")
        time.sleep(0.2)
        shutil.rmtree(self.home, ignore_errors=True)
        self.finish(process, "chat without its cache", (0, 3))

    def test_weights_that_change(self):
        """Another file at the same path is other weights, also when size and name are the same."""
        self.write("t.safetensors", common.safetensors(common.mlp_tensors()))
        run = ("run", "m.weir", "-w", "t.safetensors", "-i", VECTOR)
        first = self.answer(*run)
        changed = common.mlp_tensors()
        changed["down.bias"] = ((3,), [9.0, 9.0, 9.0])
        self.write("t.safetensors", common.safetensors(changed))
        self.assertNotEqual(self.answer(*run), first)


class Memory(Fault):
    def test_little_memory(self):
        if SANITIZED:
            self.skipTest("the address sanitizer reserves more than any limit")
        self.weir("run", "m.weir", "--random", "1", "-i", VECTOR, code=0)
        for megabytes in (20, 24, 28, 32, 40, 64, 128):
            done = subprocess.run(["sh", "-c", f"ulimit -v {megabytes * 1024}; exec \"$@\"", "sh", common.WEIR, "run", "m.weir", "--random", "1",
                                   "-i", VECTOR], capture_output=True, cwd=self.folder, env=common.environment(self.home), timeout=60)
            if b"error while loading shared libraries" in done.stderr or b"Cannot fork" in done.stderr:
                continue  # less than the program itself needs to start
            self.assertIn(done.returncode, (0, 3), f"{megabytes} MB: {done.stderr.decode(errors='replace')[-500:]}")


if __name__ == "__main__":
    common.main()
