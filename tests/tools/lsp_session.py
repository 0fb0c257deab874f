"""A session with `weir lsp` through pygls, a client that knows the protocol's types and refuses what does not fit them.

    lsp_session.py WEIR FOLDER      prints "ok" and the number of answers that were checked

Run with an interpreter that has pygls and lsprotocol (lsp_environment.py).
"""
import asyncio
import os
import sys

try:
    from lsprotocol import types as t
    from pygls.lsp.client import BaseLanguageClient
except ImportError:  # imported for its text alone
    t = None

TEXT = """use std.nn;

/// Twice the width, and back.
block Mix {D: int} (x: f[..., D]) -> f[..., D] {
  up: Linear{D, 2 * D};
  down: Linear{2 * D, D};
  return down(relu(up(x)));
}

model M {D = 8} {
  dim T: seq in 1..=64;
  mix: Mix{D};
  entry run(x: f32[T, D]) -> f32[T, D] {
    y = mix(f(x));
    return f32(y);
  }
}
"""


def place(text, words, extra=0):
    before = text[:text.index(words) + extra]
    return t.Position(line=before.count("\n"), character=len(before) - (before.rfind("\n") + 1))


async def session(weir, folder):
    client = BaseLanguageClient("weir-test", "1")
    published = asyncio.Queue()

    @client.feature(t.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
    def _(params: t.PublishDiagnosticsParams):
        published.put_nowait(params)

    checked = 0
    await client.start_io(weir, "lsp")
    answer = await client.initialize_async(t.InitializeParams(capabilities=t.ClientCapabilities(), root_uri="file://" + folder))
    assert answer.capabilities.hover_provider and answer.server_info.name == "weir"
    client.initialized(t.InitializedParams())
    uri = "file://" + os.path.join(folder, "m.weir")
    document = t.TextDocumentIdentifier(uri=uri)
    client.text_document_did_open(t.DidOpenTextDocumentParams(
        text_document=t.TextDocumentItem(uri=uri, language_id="weir", version=1, text=TEXT)))
    first = await asyncio.wait_for(published.get(), 10)
    assert first.uri == uri and first.diagnostics == [], first
    # a slip is typed: the newest text counts
    at = place(TEXT, "relu(up")
    for version, words in ((2, "r"), (3, "re"), (4, "rleu")):
        end = t.Position(line=at.line, character=at.character + (4 if version == 2 else len("r" if version == 3 else "re")))
        client.text_document_did_change(t.DidChangeTextDocumentParams(
            text_document=t.VersionedTextDocumentIdentifier(uri=uri, version=version),
            content_changes=[t.TextDocumentContentChangeEvent_Type1(range=t.Range(start=at, end=end), text=words)]))
    while True:
        seen = await asyncio.wait_for(published.get(), 10)
        if seen.version == 4:
            break
    assert [d.code for d in seen.diagnostics] == ["W0210"], seen
    assert seen.diagnostics[0].range.start == at
    client.text_document_did_change(t.DidChangeTextDocumentParams(
        text_document=t.VersionedTextDocumentIdentifier(uri=uri, version=5),
        content_changes=[t.TextDocumentContentChangeEvent_Type2(text=TEXT)]))
    hover = await client.text_document_hover_async(t.HoverParams(text_document=document, position=place(TEXT, "y = mix", 0)))
    assert "f[T, 8]" in hover.contents.value and "T: seq, 1 to 64" in hover.contents.value, hover
    hover = await client.text_document_hover_async(t.HoverParams(text_document=document, position=place(TEXT, "Mix{D}")))
    assert "Twice the width" in hover.contents.value, hover
    there = await client.text_document_definition_async(t.DefinitionParams(text_document=document, position=place(TEXT, "up(x)")))
    assert there.uri == uri and there.range.start == place(TEXT, "up: Linear"), there
    library = await client.text_document_definition_async(t.DefinitionParams(text_document=document, position=place(TEXT, "Linear{D, 2")))
    assert library.uri.endswith("/std/nn.weir"), library
    found = await client.text_document_references_async(t.ReferenceParams(
        text_document=document, position=place(TEXT, "up: "), context=t.ReferenceContext(include_declaration=True)))
    assert len(found) == 2, found
    items = await client.text_document_completion_async(t.CompletionParams(text_document=document, position=place(TEXT, "mix(f(x))")))
    labels = {i.label for i in items}
    assert {"mix", "x", "relu", "Linear", "Mix", "return", "f32"} <= labels, labels
    edit = await client.text_document_rename_async(t.RenameParams(text_document=document, position=place(TEXT, "up: "), new_name="wider"))
    assert len(edit.changes[uri]) == 2 and all(e.new_text == "wider" for e in edit.changes[uri])
    outline = await client.text_document_document_symbol_async(t.DocumentSymbolParams(text_document=document))
    assert [s.name for s in outline] == ["Mix", "M"] and [c.name for c in outline[1].children] == ["T", "mix", "run"], outline
    edits = await client.text_document_formatting_async(t.DocumentFormattingParams(
        text_document=document, options=t.FormattingOptions(tab_size=2, insert_spaces=True)))
    assert edits == [], edits
    tokens = await client.text_document_semantic_tokens_full_async(t.SemanticTokensParams(text_document=document))
    assert tokens.data and len(tokens.data) % 5 == 0
    checked += 10
    await client.shutdown_async(None)
    client.exit(None)
    await client.stop()
    print("ok", checked)


if __name__ == "__main__":
    asyncio.run(asyncio.wait_for(session(sys.argv[1], sys.argv[2]), 60))
