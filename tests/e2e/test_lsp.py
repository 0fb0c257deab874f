"""The language server: with a client of the standard library, which says what it likes, and with pygls, which knows the protocol."""
import json
import os
import random
import select
import subprocess
import sys
import time

import common
from common import Case, MODELS, ROOT, WEIR, environment

sys.path.insert(0, os.path.join(ROOT, "tests", "tools"))
import lsp_environment  # noqa: E402
import lsp_session  # noqa: E402

TEXT = lsp_session.TEXT


class Client:
    def __init__(self, env, folder):
        self.process = subprocess.Popen([WEIR, "lsp"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, cwd=folder)
        self.data = b""
        self.number = 0
        self.published = {}

    def send(self, message):
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self.process.stdin.flush()

    def notify(self, method, **params):
        self.send({"method": method, "params": params})

    def fill(self, seconds):
        if not select.select([self.process.stdout], [], [], seconds)[0]:
            raise TimeoutError("the server is silent")
        more = os.read(self.process.stdout.fileno(), 1 << 16)
        if not more:
            raise EOFError(f"the server has gone: {self.process.wait()} {self.process.stderr.read().decode(errors='replace')[-2000:]}")
        self.data += more

    def receive(self, seconds=20):
        """The next message; diagnostics are kept by their text."""
        while b"\r\n\r\n" not in self.data:
            self.fill(seconds)
        head, rest = self.data.split(b"\r\n\r\n", 1)
        length = int(head.split(b":")[1])
        while len(rest) < length:
            self.data = head + b"\r\n\r\n" + rest
            self.fill(seconds)
            rest = self.data.split(b"\r\n\r\n", 1)[1]
        self.data = rest[length:]
        message = json.loads(rest[:length])
        if message.get("method") == "textDocument/publishDiagnostics":
            self.published[message["params"]["uri"]] = message["params"]
        return message

    def ask(self, method, **params):
        self.number += 1
        self.send({"id": self.number, "method": method, "params": params})
        while True:
            message = self.receive()
            if message.get("id") == self.number:
                return message

    def result(self, method, **params):
        message = self.ask(method, **params)
        assert "result" in message, message
        return message["result"]

    def wait_for(self, uri, version):
        while self.published.get(uri, {}).get("version") != version:
            self.receive()
        return self.published[uri]["diagnostics"]

    def close(self):
        self.ask("shutdown")
        self.notify("exit")
        code = self.process.wait(20)
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            pipe.close()
        return code


def place(text, words, extra=0):
    before = text[:text.index(words) + extra]
    line = before[before.rfind("\n") + 1:]
    return {"line": before.count("\n"), "character": len(line.encode("utf-16-le")) // 2}


class Server(Case):
    def start(self):
        client = Client(environment(self.home), self.folder)
        self.addCleanup(lambda: client.process.poll() is None and client.process.kill())
        client.result("initialize", capabilities={}, processId=None, rootUri=None)
        client.notify("initialized")
        return client

    def open(self, client, name, text, version=1):
        uri = "file://" + self.path(name)
        client.notify("textDocument/didOpen", textDocument={"uri": uri, "languageId": "weir", "version": version, "text": text})
        return uri

    def at(self, uri, text, words, extra=0):
        return {"textDocument": {"uri": uri}, "position": place(text, words, extra)}

    def test_order_of_life(self):
        client = Client(environment(self.home), self.folder)
        self.assertEqual(client.ask("textDocument/hover")["error"]["code"], -32002)
        client.result("initialize", capabilities={})
        self.assertEqual(client.ask("weir/none")["error"]["code"], -32601)
        self.assertEqual(client.ask("textDocument/hover", textDocument={"uri": "file:///none"}, position={})["error"]["code"], -32803)
        client.process.stdin.write(b"Content-Length: 9\r\n\r\nnot json!")
        client.process.stdin.flush()
        self.assertEqual(client.receive()["error"]["code"], -32700)
        self.assertEqual(client.close(), 0)
        client = Client(environment(self.home), self.folder)
        client.process.stdin.write(b"GET / HTTP/1.1\r\n\r\n")
        client.process.stdin.close()
        self.assertEqual(client.process.wait(20), 1)
        client.process.stdout.close()
        client.process.stderr.close()

    def test_names(self):
        client = self.start()
        uri = self.open(client, "m.weir", TEXT)
        self.assertEqual(client.wait_for(uri, 1), [])
        hover = client.result("textDocument/hover", **self.at(uri, TEXT, "mix(f(x))"))
        self.assertIn("an instance of Mix", hover["contents"]["value"])
        hover = client.result("textDocument/hover", **self.at(uri, TEXT, "relu(up"))
        self.assertIn("function `relu`", hover["contents"]["value"])
        hover = client.result("textDocument/hover", **self.at(uri, TEXT, "x: f32[T"))
        self.assertIn("f32[T, 8]", hover["contents"]["value"])
        self.assertIsNone(client.result("textDocument/hover", **self.at(uri, TEXT, "\n\nmodel")))
        used = client.result("textDocument/definition", **self.at(uri, TEXT, "std.nn"))
        self.assertTrue(used["uri"].endswith("std/nn.weir"))
        found = client.result("textDocument/references", context={"includeDeclaration": False}, **self.at(uri, TEXT, "D: int"))
        self.assertEqual(len(found), 6)
        self.assertEqual(client.close(), 0)

    def test_rename(self):
        client = self.start()
        lib = self.write("lib.weir", "block Half {D: int, by: float = 2.0} (x: f[D]) -> f[D] {\n  fn twice(y: f[D]) -> f[D] { return y + y; }\n  return x / by;\n}\n")
        text = ('use "lib.weir";\nuse std.nn;\nmodel M {} {\n  enc.half: Half{4, by = 4.0};\n  l: Linear{4, 4}[3];\n  entry e(x: f32[4]) -> f32[4] {\n'
                "    y = enc.half(f(x));\n    for layer in l { y = layer(y); }\n    y = enc.half.twice(y) * l[0].weight[0];\n    return f32(y);\n  }\n}\n"
                'bind hf for M { l[i].weight: "a.{i}"; enc.half: "b"; }\nplan p for M { store l.*.weight: f16; }\n')
        uri = self.open(client, "m.weir", text)
        def rename(words, name, extra=0):
            return client.ask("textDocument/rename", newName=name, **self.at(uri, text, words, extra))
        edit = rename("Half{4", "Third")["result"]["changes"]
        self.assertEqual(sorted(len(e) for e in edit.values()), [1, 1])
        self.assertIn("file://" + lib, edit)
        edit = rename("enc.half(f", "enc.h")["result"]["changes"][uri]
        self.assertEqual(len(edit), 4)  # the member, two calls, the bind
        self.assertEqual(len(rename("by = 4", "factor")["result"]["changes"]["file://" + lib]), 2)
        self.assertEqual(len(rename("twice(y)", "doubled")["result"]["changes"]), 2)
        self.assertEqual(len(rename("l: Linear", "layers")["result"]["changes"][uri]), 5)
        self.assertEqual(len(rename("y = enc", "z")["result"]["changes"][uri]), 6)
        for words, name in (("Linear{4", "Dense"), ("y = enc", "x"), ("y = enc", "for"), ("y = enc", "a.b"), ("y = enc", "2"), ("y = enc", "")):
            self.assertEqual(rename(words, name)["error"]["code"], -32803, name)
        self.assertIsNone(client.result("textDocument/prepareRename", **self.at(uri, text, "Linear{4")))
        self.assertIsNotNone(client.result("textDocument/prepareRename", **self.at(uri, text, "y = enc")))
        # what a rename gives checks as before
        lines = text.split("\n")
        for change in sorted(edit, key=lambda c: (c["range"]["start"]["line"], c["range"]["start"]["character"]), reverse=True):
            start, end = change["range"]["start"], change["range"]["end"]
            line = lines[start["line"]]
            lines[start["line"]] = line[:start["character"]] + change["newText"] + line[end["character"]:]
        before, after = self.write("m.weir", text), self.write("renamed.weir", "\n".join(lines))
        codes = [[d["code"] for d in json.loads(self.run_weir("check", "--json", f, code=(0, 1)))] for f in (before, after)]
        self.assertEqual(codes[0], codes[1])
        client.close()

    def completions(self, client, uri, text, words, extra):
        return {i["label"] for i in client.result("textDocument/completion", **self.at(uri, text, words, extra))}

    def test_completion_while_typing(self):
        client = self.start()
        for typed, wanted, unwanted in (
                ("    z = mix.", {"up", "down"}, {"x", "relu"}),
                ("    z = mix.up.", {"weight"}, {"up"}),
                ("    l: Linear{", {"I =", "O =", "bias =", "D"}, {"weight"}),
                ("    z = softmax(y, ", {"over =", "y", "mix"}, {"I ="}),
                ("    z = r", {"relu", "rope", "return", "mix"}, set())):
            text = TEXT.replace("    y = mix(f(x));\n", "    y = mix(f(x));\n" + typed + "\n")
            uri = self.open(client, "m.weir", text)
            got = self.completions(client, uri, text, typed, len(typed))
            self.assertLessEqual(wanted, got, typed)
            self.assertFalse(unwanted & got, typed)
        text = TEXT + "model N {} {\n  enc.a, enc.b: Mix{4};\n  entry e(x: f32[4]) -> f32[4] { return enc.; }\n}\n"
        uri = self.open(client, "n.weir", text)
        self.assertEqual(self.completions(client, uri, text, "return enc.", 11), {"a", "b"})
        client.close()

    def test_unsaved_texts_are_seen(self):
        client = self.start()
        self.write("lib.weir", "let n = 1;\n")
        user = self.open(client, "m.weir", 'use "lib.weir";\nmodel M {} { entry e(x: f32[4]) -> f32[4] { return x * m; } }\n')
        self.assertEqual([d["code"] for d in client.wait_for(user, 1)], ["W0210"])
        self.open(client, "lib.weir", "let m = 2;\n")
        while client.published[user]["diagnostics"]:
            client.receive()
        client.notify("textDocument/didClose", textDocument={"uri": "file://" + self.path("lib.weir")})
        while not client.published[user]["diagnostics"]:
            client.receive()
        client.close()

    def test_places_are_utf16(self):
        client = self.start()
        text = "// \U0001F600 \u00e9\nmodel M {} {\n  entry e(x: f32[4]) -> f32[4] { /* */ return x; }\n}\n".replace("/* */", "")
        uri = self.open(client, "m.weir", text)
        client.notify("textDocument/didChange", textDocument={"uri": uri, "version": 2}, contentChanges=[
            {"range": {"start": {"line": 0, "character": 6}, "end": {"line": 0, "character": 7}}, "text": "ab"}])
        client.notify("textDocument/didChange", textDocument={"uri": uri, "version": 3}, contentChanges=[
            {"range": {"start": {"line": 2, "character": 41}, "end": {"line": 2, "character": 42}}, "text": "\U0001F600"}])
        diagnostics = client.wait_for(uri, 3)
        self.assertEqual(diagnostics[0]["code"], "W0001", diagnostics)
        client.close()

    def test_formatting(self):
        client = self.start()
        uri = self.open(client, "m.weir", "let  x=1;\n")
        edits = client.result("textDocument/formatting", textDocument={"uri": uri}, options={})
        self.assertEqual([e["newText"] for e in edits], ["let x = 1;\n"])
        broken = self.open(client, "b.weir", "let  x=;\n")
        self.assertIsNone(client.result("textDocument/formatting", textDocument={"uri": broken}, options={}))
        client.close()

    def test_broken_texts(self):
        """Random damage to models, with questions at random places: every question is answered."""
        client = self.start()
        rng = random.Random(7)
        names = [os.path.join(MODELS, n) for n in sorted(os.listdir(MODELS)) if n.endswith(".weir")]
        data = os.path.join(ROOT, "tests", "data", "lang")
        names += [os.path.join(data, n) for n in sorted(os.listdir(data)) if n.endswith(".weir")]
        methods = ("hover", "definition", "references", "completion", "documentSymbol", "semanticTokens/full", "formatting", "prepareRename",
                   "documentHighlight")
        started, asked = time.time(), 0
        for turn in range(120):
            with open(names[turn % len(names)], encoding="utf-8") as file:
                text = file.read()
            for _ in range(rng.randrange(4)):
                at, length = rng.randrange(len(text)), rng.choice((1, 1, 5, 60))
                text = text[:at] + rng.choice(("", "", "{", "}", ".", "\"", "a.b", "(", "\u20ac", text[:200])) + text[at + length:]
            if rng.random() < 0.3:
                text = text[:rng.randrange(len(text))]
            uri = self.open(client, "broken.weir", text, turn)
            lines = text.split("\n")
            for _ in range(3):
                line = rng.randrange(len(lines))
                position = {"line": line, "character": rng.randrange(len(lines[line]) + 2)}
                client.ask("textDocument/" + rng.choice(methods), textDocument={"uri": uri}, position=position, context={}, options={})
                asked += 1
            if time.time() - started > 40:
                break
        print(f"{asked} questions about {turn + 1} damaged texts")
        self.assertEqual(client.close(), 0)

    def test_with_a_protocol_client(self):
        python = lsp_environment.python(common.USER_HOME)
        if not python:
            self.skipTest("no language-server client from the package index")
        done = subprocess.run([python, lsp_session.__file__, WEIR, self.folder], capture_output=True, text=True, env=environment(self.home), timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr[-3000:])
        self.assertTrue(done.stdout.startswith("ok "), done.stdout)


if __name__ == "__main__":
    common.main()
