"""Makes the references of the zoo's models with PyTorch: small models of the same architecture with random weights.

    python3 -m venv VENV && VENV/bin/pip install torch torchvision transformers timm safetensors
    VENV/bin/python tests/zoo/make_references.py [name...]

For each model a folder tests/data/zoo/NAME: weights.safetensors with the names of the public implementation, inputs and
outputs as .npy, and case.json, which says which text is to be built, how, and what is to be run. The outputs are those of the
public implementation (transformers, torchvision, timm, torch.nn), or of the plain code below where there is none; never Weir's.
The cases std_NAME are those of the library: small texts in this folder that use every block, made by library.py.
"""
import os
import sys

import library
import numpy as np
import torch
from writer import DATA, Writer, floats, ids, randomize, tokens


def decoder(name, file, model, sets, vocabulary, seed, lengths=(1, 7, 19)):
    w = Writer(name, file, sets)
    randomize(model, seed)
    w.weights(model.state_dict())
    for i, length in enumerate(lengths):
        t = tokens(seed + i, length, vocabulary)
        logits = model(ids(t), use_cache=False).logits[0]
        w.run("score", {"tokens": t}, {"output": logits})
        w.run("next", {"tokens": t}, {"output": logits[-1]}, step=True)
    w.close()


def make_llama():
    from transformers import LlamaConfig, LlamaForCausalLM
    c = LlamaConfig(vocab_size=96, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
                    num_key_value_heads=2, rms_norm_eps=1e-5, max_position_embeddings=64, tie_word_embeddings=False,
                    rope_parameters={"rope_type": "default", "rope_theta": 5e5})
    decoder("llama", "models/llama.weir", LlamaForCausalLM(c),
            {"layers": 2, "D": 32, "F": 64, "heads": 4, "kv_heads": 2, "V": 96, "tied": "false", "context": 64}, 96, 1)


def make_mistral():
    from transformers import MistralConfig, MistralForCausalLM
    c = MistralConfig(vocab_size=96, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
                      num_key_value_heads=2, rms_norm_eps=1e-5, max_position_embeddings=64, sliding_window=5,
                      rope_parameters={"rope_type": "default", "rope_theta": 1e4}, attn_implementation="eager")
    decoder("mistral", "models/mistral.weir", MistralForCausalLM(c),
            {"layers": 2, "D": 32, "F": 64, "heads": 4, "kv_heads": 2, "V": 96, "W": 5, "context": 64}, 96, 2)


def make_qwen2():
    from transformers import Qwen2Config, Qwen2ForCausalLM
    c = Qwen2Config(vocab_size=96, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
                    num_key_value_heads=2, rms_norm_eps=1e-6, max_position_embeddings=64, tie_word_embeddings=True,
                    rope_parameters={"rope_type": "default", "rope_theta": 1e6})
    decoder("qwen2", "models/qwen2.weir", Qwen2ForCausalLM(c),
            {"layers": 2, "D": 32, "F": 64, "heads": 4, "kv_heads": 2, "V": 96, "context": 64}, 96, 3)


def make_qwen3():
    from transformers import Qwen3Config, Qwen3ForCausalLM
    c = Qwen3Config(vocab_size=96, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
                    num_key_value_heads=2, head_dim=16, rms_norm_eps=1e-6, max_position_embeddings=64,
                    tie_word_embeddings=True, rope_parameters={"rope_type": "default", "rope_theta": 1e6})
    decoder("qwen3", "models/qwen3.weir", Qwen3ForCausalLM(c),
            {"layers": 2, "D": 32, "F": 64, "heads": 4, "kv_heads": 2, "H": 16, "V": 96, "context": 64}, 96, 4)


def make_gemma():
    from transformers import GemmaConfig, GemmaForCausalLM
    c = GemmaConfig(vocab_size=96, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
                    num_key_value_heads=1, head_dim=16, rms_norm_eps=1e-6, max_position_embeddings=64,
                    rope_parameters={"rope_type": "default", "rope_theta": 1e4})
    decoder("gemma", "models/gemma.weir", GemmaForCausalLM(c),
            {"layers": 2, "D": 32, "F": 64, "heads": 4, "kv_heads": 1, "H": 16, "V": 96, "context": 64}, 96, 5)


def make_phi():
    from transformers import PhiConfig, PhiForCausalLM
    c = PhiConfig(vocab_size=96, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
                  layer_norm_eps=1e-5, max_position_embeddings=64, hidden_act="gelu_new",
                  rope_parameters={"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 0.5})
    decoder("phi", "models/phi.weir", PhiForCausalLM(c),
            {"layers": 2, "D": 32, "F": 64, "heads": 4, "V": 96, "rotary": 4, "context": 64}, 96, 6)


def make_gpt2():
    from transformers import GPT2Config, GPT2LMHeadModel
    c = GPT2Config(vocab_size=96, n_embd=32, n_layer=2, n_head=4, n_positions=64)
    m = randomize(GPT2LMHeadModel(c), 20)
    w = Writer("gpt2", "models/gpt2.weir", {"layers": 2, "D": 32, "heads": 4, "V": 96, "P": 64})
    w.weights({k.removeprefix("transformer."): v for k, v in m.state_dict().items()})  # the names of the hub's file
    for i, length in enumerate((1, 7, 19)):
        t = tokens(190 + i, length, 96)
        logits = m(ids(t), use_cache=False).logits[0]
        w.run("score", {"tokens": t}, {"output": logits})
        w.run("next", {"tokens": t}, {"output": logits[-1]}, step=True)
    w.close()


def make_clip():
    from transformers import CLIPConfig, CLIPModel
    text = {"vocab_size": 96, "hidden_size": 32, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
            "max_position_embeddings": 20, "projection_dim": 16, "bos_token_id": 1, "eos_token_id": 95}
    vision = {"hidden_size": 24, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 3, "image_size": 24,
              "patch_size": 8, "projection_dim": 16}
    m = randomize(CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=16)), 21)
    w = Writer("clip", "models/clip.weir", {"layers": 2, "D": 32, "heads": 4, "V": 96, "context": 20, "image_layers": 2,
                                            "image_D": 24, "image_heads": 3, "P": 8, "size": 24, "joint": 16})
    w.weights(m.state_dict())
    for i, length in enumerate((1, 6, 20)):
        t, x = tokens(210 + i, length, 95), floats(220 + i, 3, 24, 24)
        t[-1] = 95  # the end token, whose row is taken
        out = m(input_ids=ids(t), pixel_values=torch.tensor(x)[None])
        w.run("text", {"tokens": t}, {"output": out.text_embeds[0]})
        w.run("image", {"pixels": x}, {"output": out.image_embeds[0]})
        w.run("fit", {"text": out.text_embeds[0].numpy(), "image": out.image_embeds[0].numpy()},
              {"output": out.logits_per_text[0, 0]})
    w.close()


def make_mamba():
    from transformers import MambaConfig, MambaForCausalLM
    c = MambaConfig(vocab_size=96, hidden_size=32, num_hidden_layers=2, state_size=8, conv_kernel=4, expand=2,
                    time_step_rank=2, layer_norm_epsilon=1e-5, tie_word_embeddings=True)
    decoder("mamba", "models/mamba.weir", MambaForCausalLM(c), {"layers": 2, "M": 32, "N": 8, "K": 4, "V": 96}, 96, 7)


def make_rwkv():
    from transformers import RwkvConfig, RwkvForCausalLM
    c = RwkvConfig(vocab_size=96, hidden_size=32, num_hidden_layers=2, attention_hidden_size=32,
                   intermediate_size=128, rescale_every=0, context_length=64)
    decoder("rwkv", "models/rwkv.weir", RwkvForCausalLM(c), {"layers": 2, "D": 32, "V": 96}, 96, 8)


def make_bert():
    from transformers import BertConfig, BertModel
    c = BertConfig(vocab_size=96, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
                   max_position_embeddings=40)
    m = randomize(BertModel(c), 9)
    w = Writer("bert", "models/bert.weir", {"layers": 2, "D": 32, "F": 64, "heads": 4, "V": 96, "P": 40})
    w.weights(m.state_dict())
    for i, length in enumerate((1, 6, 40)):
        t, s = tokens(20 + i, length, 96), tokens(30 + i, length, 2)
        out = m(ids(t), token_type_ids=ids(s))
        w.run("encode_text", {"tokens": t, "segments": s},
              {"rows": out.last_hidden_state[0], "pooled": out.pooler_output[0]})
    w.close()


def make_t5():
    from transformers import T5Config, T5ForConditionalGeneration
    c = T5Config(vocab_size=96, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_decoder_layers=2, num_heads=4,
                 relative_attention_num_buckets=32, relative_attention_max_distance=128, feed_forward_proj="relu",
                 tie_word_embeddings=True)
    m = randomize(T5ForConditionalGeneration(c), 10)
    w = Writer("t5", "models/t5.weir", {"layers": 2, "D": 32, "F": 64, "heads": 4, "H": 8, "V": 96, "context": 64})
    w.weights(m.state_dict())
    for i, (source, target) in enumerate(((1, 1), (9, 4), (40, 20))):
        s, t = tokens(40 + i, source, 96), tokens(50 + i, target, 96)
        logits = m(input_ids=ids(s), decoder_input_ids=ids(t), use_cache=False).logits[0]
        w.run("next", {"target": t}, {"output": logits[-1]}, step=True,
              before=[{"entry": "encode", "inputs": {"source": w.array(f"source{i}", s)}}])
    w.close()


def make_whisper():
    from transformers import WhisperConfig, WhisperForConditionalGeneration
    for number, audio in enumerate((12, 31)):
        c = WhisperConfig(vocab_size=96, d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4,
                          decoder_attention_heads=4, encoder_ffn_dim=64, decoder_ffn_dim=64, num_mel_bins=8,
                          max_source_positions=(audio - 1) // 2 + 1, max_target_positions=24, pad_token_id=0,
                          bos_token_id=1, eos_token_id=2, decoder_start_token_id=1)
        m = randomize(WhisperForConditionalGeneration(c), 11)
        if number == 0:
            w = Writer("whisper", "models/whisper.weir",
                       {"layers": 2, "D": 32, "F": 64, "heads": 4, "mels": 8, "V": 96, "P": 24, "frames": 40})
            state = dict(m.state_dict())
            table = torch.randn(20, 32, generator=torch.Generator().manual_seed(1))
        positions = m.state_dict()["model.encoder.embed_positions.weight"]
        m.load_state_dict({k: v for k, v in state.items() if "encoder.embed_positions" not in k}, strict=False)
        positions.copy_(table[:positions.shape[0]])
        if number == 0:
            w.weights({**state, "model.encoder.embed_positions.weight": table})
        a, t = floats(60 + number, audio, 8), tokens(70 + number, 5 + 6 * number, 96)
        conv = m.model.encoder
        x = torch.nn.functional.gelu(conv.conv1(torch.tensor(a.T)[None]))
        x = torch.nn.functional.gelu(conv.conv2(x)).permute(0, 2, 1) + conv.embed_positions.weight
        for layer in conv.layers:
            x = layer(x, None)
            x = x[0] if isinstance(x, tuple) else x
        memory = conv.layer_norm(x)
        y = m.model.decoder(input_ids=ids(t), encoder_hidden_states=memory, use_cache=False).last_hidden_state
        w.run("next", {"tokens": t}, {"output": m.proj_out(y)[0, -1]}, step=True,
              before=[{"entry": "encode", "inputs": {"audio": w.array(f"audio{number}", a)}}])
    w.close()


def make_vit():
    import timm
    m = timm.models.vision_transformer.VisionTransformer(img_size=32, patch_size=8, embed_dim=32, depth=2, num_heads=4,
                                                         num_classes=10)
    randomize(m, 12)
    w = Writer("vit", "models/vit.weir", {"layers": 2, "D": 32, "heads": 4, "P": 8, "size": 32, "classes": 10})
    w.weights(m.state_dict())
    for batch in (1, 3):
        x = floats(80 + batch, batch, 3, 32, 32)
        rows = m.forward_features(torch.tensor(x))
        w.run("classify", {"images": x}, {"logits": m.forward_head(rows), "features": rows[:, 0]})
    w.close()


def make_resnet():
    from torchvision.models.resnet import Bottleneck, ResNet
    m = ResNet.__new__(ResNet)
    torch.nn.Module.__init__(m)
    m._norm_layer, m.dilation, m.groups, m.base_width = torch.nn.BatchNorm2d, 1, 1, 64
    m.inplanes = 8
    m.conv1 = torch.nn.Conv2d(3, 8, 7, 2, 3, bias=False)
    m.bn1, m.relu, m.maxpool = torch.nn.BatchNorm2d(8), torch.nn.ReLU(), torch.nn.MaxPool2d(3, 2, 1)
    m.layer1 = m._make_layer(Bottleneck, 8, 2)
    m.layer2 = m._make_layer(Bottleneck, 16, 1, stride=2)
    m.layer3 = m._make_layer(Bottleneck, 32, 1, stride=2)
    m.layer4 = m._make_layer(Bottleneck, 64, 1, stride=2)
    m.avgpool, m.fc = torch.nn.AdaptiveAvgPool2d((1, 1)), torch.nn.Linear(256, 10)
    randomize(m, 13)
    w = Writer("resnet", "models/resnet.weir", {"depths": "[2, 1, 1, 1]", "width": 8, "size": 40, "classes": 10})
    w.weights(m.state_dict())
    for batch in (1, 2):
        x = floats(90 + batch, batch, 3, 40, 40)
        w.run("score", {"images": x}, {"output": m(torch.tensor(x))})
    w.close()


def images(name, file, model, size):
    w = Writer(name, file, {"size": size})
    w.filled(model)
    for batch in (1, 2):
        x = floats(200 + batch, batch, 3, size, size)
        w.run("score" if name == "resnet50" else "classify", {"images": x}, {"output": model(torch.tensor(x))})
    w.close()


def make_resnet50():
    import torchvision
    images("resnet50", "models/resnet.weir", torchvision.models.resnet50(), 64)


def make_mobilenetv3():
    import torchvision
    images("mobilenetv3", "models/mobilenetv3.weir", torchvision.models.mobilenet_v3_small(), 64)


def make_unet():
    nn = torch.nn

    class Double(nn.Module):
        def __init__(self, i, o):
            super().__init__()
            self.conv1, self.conv2 = nn.Conv2d(i, o, 3, padding=1), nn.Conv2d(o, o, 3, padding=1)
            self.norm1, self.norm2 = nn.GroupNorm(4, o), nn.GroupNorm(4, o)

        def forward(self, x):
            x = nn.functional.silu(self.norm1(self.conv1(x)))
            return nn.functional.silu(self.norm2(self.conv2(x)))

    class Level(nn.Module):
        def __init__(self, i, o):
            super().__init__()
            self.convs = Double(i, o)

    class UNet(nn.Module):
        def __init__(self, width):
            super().__init__()
            sizes = [width, 2 * width, 4 * width, 8 * width]
            self.inc = Double(3, width)
            self.down = nn.ModuleList([Level(s, 2 * s) for s in sizes[:-1]])
            self.up = nn.ModuleList([Level(3 * s, s) for s in sizes[-2::-1]])
            self.head = nn.Conv2d(width, 2, 1)

        def forward(self, x):
            x, twins = self.inc(x), []
            for level in self.down:
                twins.append(x)
                x = level.convs(nn.functional.max_pool2d(x, 2))
            for level in self.up:
                x = nn.functional.interpolate(x, scale_factor=2, mode="nearest")
                x = level.convs(torch.cat([twins.pop(), x], 1))
            return self.head(x)

    m = randomize(UNet(4), 14)
    w = Writer("unet", "models/unet.weir", {"width": 4, "size": 16})
    w.weights(m.state_dict())
    for batch in (1, 2):
        x = floats(100 + batch, batch, 3, 16, 16)
        w.run("segment", {"images": x}, {"output": m(torch.tensor(x))})
    w.close()


def make_lstm():
    nn = torch.nn
    m = nn.Module()
    m.encoder, m.rnn, m.decoder = nn.Embedding(96, 24), nn.LSTM(24, 24, 2, batch_first=True), nn.Linear(24, 96)
    randomize(m, 15)
    w = Writer("lstm", "models/lstm.weir", {"layers": 2, "D": 24, "V": 96})
    w.weights(m.state_dict())
    for i, length in enumerate((1, 8, 21)):
        t, y = tokens(110 + i, length, 96), tokens(120 + i, length, 96)
        logits = m.decoder(m.rnn(m.encoder(ids(t)))[0])[0]
        w.run("score", {"tokens": t}, {"output": logits})
        w.run("next", {"tokens": t}, {"output": logits[-1]}, step=True)
        w.run("nll", {"tokens": t, "targets": y}, {"output": nn.functional.cross_entropy(logits, ids(y)[0])})
    w.close()


def make_gnn():
    nn = torch.nn

    class Gat(nn.Module):
        def __init__(self, i, o, heads):
            super().__init__()
            self.heads, self.lin_l, self.lin_r = heads, nn.Linear(i, heads * o), nn.Linear(i, heads * o)
            self.att, self.bias = nn.Parameter(torch.zeros(1, heads, o)), nn.Parameter(torch.zeros(heads * o))

        def forward(self, x, src, dst):
            left = self.lin_l(x).view(len(x), self.heads, -1)
            right = self.lin_r(x).view(len(x), self.heads, -1)
            score = (nn.functional.leaky_relu(left[src] + right[dst], 0.2) * self.att).sum(-1)
            out = torch.zeros_like(left)
            for n in range(len(x)):
                to = dst == n
                if to.any():
                    share = score[to].softmax(0)
                    out[n] = (share[..., None] * left[src[to]]).sum(0)
            return out.view(len(x), -1) + self.bias

    m = nn.Module()
    m.conv1, m.conv2, m.head = Gat(6, 8, 2), Gat(16, 8, 2), nn.Linear(16, 5)
    randomize(m, 16)
    w = Writer("gnn", "models/gnn.weir", {"F": 6, "D": 8, "heads": 2, "classes": 5})
    w.weights(m.state_dict())
    for i, (nodes, edges) in enumerate(((1, 0), (5, 12), (9, 40))):
        x, src, dst = floats(130 + i, nodes, 6), tokens(140 + i, edges, nodes), tokens(150 + i, edges, nodes)
        a, b = torch.tensor(src.astype(np.int64)), torch.tensor(dst.astype(np.int64))
        h = torch.relu(m.conv2(torch.relu(m.conv1(torch.tensor(x), a, b)), a, b))
        w.run("classify", {"x": x, "src": src, "dst": dst}, {"output": m.head(h.mean(0))})
    w.close()


def make_spiking():
    nn = torch.nn
    m = nn.Module()
    m.w1, m.w2 = nn.Linear(10, 16, bias=False), nn.Linear(16, 4, bias=False)
    m.lif1, m.lif2 = nn.Module(), nn.Module()
    m.lif1.decay, m.lif2.decay = nn.Parameter(torch.zeros(16)), nn.Parameter(torch.zeros(4))
    randomize(m, 17)
    for lif in (m.lif1, m.lif2):
        lif.decay.copy_(lif.decay.abs().clamp(0.3, 0.95))
    m.w1.weight.mul_(2)
    m.w2.weight.mul_(2)
    w = Writer("spiking", "models/spiking.weir", {"inputs": 10, "hidden": 16, "classes": 4})
    w.weights(m.state_dict())
    for i, length in enumerate((1, 9, 30)):
        x = (floats(160 + i, length, 10) > 0.4).astype(np.float32)
        v1, v2, rows = torch.zeros(16), torch.zeros(4), []
        for row in torch.tensor(x):
            v1 = m.lif1.decay * v1 + m.w1(row)
            s = (v1 > 1).float()
            v1 = v1 - s
            v2 = m.lif2.decay * v2 + m.w2(s)
            o = (v2 > 1).float()
            v2 = v2 - o
            rows.append(o)
        w.run("observe", {"events": x}, {"output": torch.stack(rows)}, step=True)
        w.run("classify", {"events": x}, {"output": torch.stack(rows).mean(0)})
    w.close()


def make_moe():
    from transformers import MixtralConfig, MixtralForCausalLM
    c = MixtralConfig(vocab_size=96, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
                      num_key_value_heads=2, num_local_experts=4, num_experts_per_tok=2, max_position_embeddings=64,
                      rope_parameters={"rope_type": "default", "rope_theta": 1e6}, sliding_window=None)
    m = randomize(MixtralForCausalLM(c), 18)
    w = Writer("moe", "models/moe.weir", {"layers": 2, "D": 32, "F": 48, "heads": 4, "kv_heads": 2, "E": 4, "k": 2, "V": 96,
                                   "context": 64})
    state = {}
    for name, value in m.state_dict().items():  # the names and the cut of the hub's files
        if name.endswith("experts.gate_up_proj"):
            base = name.replace("mlp.experts.gate_up_proj", "block_sparse_moe.experts")
            for e in range(4):
                state[f"{base}.{e}.w1.weight"], state[f"{base}.{e}.w3.weight"] = value[e].clone().chunk(2, 0)
        elif name.endswith("experts.down_proj"):
            base = name.replace("mlp.experts.down_proj", "block_sparse_moe.experts")
            for e in range(4):
                state[f"{base}.{e}.w2.weight"] = value[e].clone()
        else:
            state[name.replace("mlp.gate", "block_sparse_moe.gate")] = value
    state = {k: v.clone() for k, v in state.items()}
    w.weights(state)
    for i, length in enumerate((1, 7, 19)):
        t = tokens(170 + i, length, 96)
        logits = m(ids(t), use_cache=False).logits[0]
        w.run("score", {"tokens": t}, {"output": logits})
        w.run("next", {"tokens": t}, {"output": logits[-1]}, step=True)
    w.close()


def make_sliding():
    nn = torch.nn

    def rope(x, theta):
        half = x.shape[-1] // 2
        angle = torch.arange(len(x))[:, None] * theta ** (-torch.arange(half) / half)
        cos, sin = angle.cos()[:, None], angle.sin()[:, None]
        a, b = x[..., :half], x[..., half:]
        return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)

    heads, groups, width, window, depth = 4, 2, 8, 5, 2
    m = nn.Module()
    m.embed = nn.Embedding(96, 32)
    norm, linear = (lambda: nn.RMSNorm(32, eps=1e-5)), (lambda i, o: nn.Linear(i, o, bias=False))
    m.norms = nn.ModuleList([norm() for _ in range(2 * depth)])
    m.attentions, m.mlps = nn.ModuleList(), nn.ModuleList()
    for _ in range(depth):
        a, f = nn.Module(), nn.Module()
        a.q_proj, a.k_proj, a.v_proj, a.o_proj = linear(32, 32), linear(32, 16), linear(32, 16), linear(32, 32)
        f.gate_proj, f.up_proj, f.down_proj = linear(32, 96), linear(32, 96), linear(96, 32)
        m.attentions.append(a)
        m.mlps.append(f)
    randomize(m, 19)
    w = Writer("sliding", "models/sliding.weir", {"layers": 2, "D": 32, "heads": heads, "kv_heads": groups, "W": window, "V": 96,
                                           "context": 64})
    w.weights(m.state_dict())
    for i, length in enumerate((1, 7, 19)):
        t = tokens(180 + i, length, 96)
        x = m.embed(ids(t))[0]
        for a, f, n1, n2 in zip(m.attentions, m.mlps, m.norms[0::2], m.norms[1::2]):
            n = n1(x)
            q = rope(a.q_proj(n).view(length, heads, width), 1e4)
            k = rope(a.k_proj(n).view(length, groups, width), 1e4).repeat_interleave(heads // groups, 1)
            v = a.v_proj(n).view(length, groups, width).repeat_interleave(heads // groups, 1)
            s = torch.einsum("thd,uhd->htu", q, k) / width ** 0.5
            d = torch.arange(length)[:, None] - torch.arange(length)[None]
            s = s.masked_fill((d < 0) | (d >= window), float("-inf")).softmax(-1)
            x = x + a.o_proj(torch.einsum("htu,uhd->thd", s, v).reshape(length, 32))
            n = n2(x)
            x = x + f.down_proj(nn.functional.silu(f.gate_proj(n)) * f.up_proj(n))
        w.run("verify", {"tokens": t}, {"output": x @ m.embed.weight.T}, step=True)
    w.close()


def main(names):
    torch.set_grad_enabled(False)
    made = {k[5:]: v for part in (globals(), vars(library)) for k, v in part.items() if k.startswith("make_")}
    for name in names or made:
        made[name]()
        folder = os.path.join(DATA, name)
        print(name, sum(os.path.getsize(os.path.join(folder, f)) for f in os.listdir(folder)), "bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
