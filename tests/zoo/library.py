"""References of the standard library: for each file of models/std a small model (the texts beside this file) and torch's answers."""
import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from writer import Writer, floats, ids, randomize, tokens


def tree(**members):
    m = nn.Module()
    for name, value in members.items():
        m.register_parameter(name, nn.Parameter(value)) if isinstance(value, torch.Tensor) else m.add_module(name, value)
    return m


def linear(i, o, bias=False):
    return nn.Linear(i, o, bias=bias)


def make_std_activation():
    m = randomize(tree(prelu=nn.PReLU(6), snake=tree(alpha=torch.ones(6))), 301)
    m.snake.alpha.copy_(m.snake.alpha.abs() + 0.3)
    w = Writer("std_activation", "tests/zoo/activation.weir")
    w.weights(m.state_dict())
    for length in (1, 40):
        x = floats(400 + length, length, 6) * 4
        t = torch.tensor(x)
        a, b = t.chunk(2, -1)
        plain = [F.relu6(t), F.relu(t) ** 2, F.leaky_relu(t), F.elu(t), F.celu(t, 0.7), F.selu(t), F.mish(t),
                 t * torch.sigmoid(1.702 * t), F.logsigmoid(t), F.softsign(t), F.tanhshrink(t), F.hardtanh(t, -0.5, 1),
                 F.hardsigmoid(t), F.hardswish(t), F.softshrink(t), F.hardshrink(t), F.elu(t, 0.3)]
        gated = [F.glu(t), a * F.gelu(b), a * F.silu(b), a * F.relu(b)]
        snake = t + torch.sin(m.snake.alpha * t) ** 2 / m.snake.alpha
        w.run("run", {"x": x}, {"plain": torch.cat(plain, -1), "gated": torch.cat(gated, -1),
                                "learned": torch.cat([m.prelu(t), snake], -1)})
    w.close()


def make_std_nn():
    v, d, f = 20, 8, 12

    def gated():
        return tree(gate_proj=linear(d, f), up_proj=linear(d, f), down_proj=linear(f, d))

    def gate(m, x, act):
        return m.down_proj(act(m.gate_proj(x)) * m.up_proj(x))

    m = tree(embed=nn.Embedding(v, d), linear=linear(d, d, True), rms=nn.RMSNorm(d, eps=1e-5), norm=nn.LayerNorm(d),
             scale=tree(gamma=torch.ones(d)), gated=gated(), swiglu=gated(),
             mlp=tree(up_proj=linear(d, f, True), down_proj=linear(f, d, True)),
             relu_mlp=tree(up=linear(d, f), down=linear(f, d)),
             gelu_mlp=tree(up=linear(d, f, True), down=linear(f, d, True)), learned=nn.Embedding(64, d))
    randomize(m, 302)
    w = Writer("std_nn", "tests/zoo/nn.weir")
    w.weights(m.state_dict())
    for i, length in enumerate((1, 9, 30)):
        t = tokens(410 + i, length, v)
        x = m.embed(ids(t)[0]) + m.learned.weight[:length]
        x = x + m.linear(m.rms(x))
        n = m.norm(x)
        x = x + gate(m.gated, n, lambda y: F.gelu(y, approximate="tanh")) + gate(m.swiglu, n, F.silu)
        n = m.norm(x)
        y = m.mlp.down_proj(F.gelu(m.mlp.up_proj(n))) + m.relu_mlp.down(F.relu(m.relu_mlp.up(n)))
        x = x + m.scale.gamma * (y + m.gelu_mlp.down(F.gelu(m.gelu_mlp.up(n))))
        w.run("rows", {"tokens": t}, {"last": x[-1], "logits": x[-1] @ m.embed.weight.T})
    from transformers.models.whisper.modeling_whisper import sinusoids
    for length in (1, 50):
        x = floats(420 + length, length, d)
        p, i = torch.arange(length)[:, None], torch.arange(d // 2)[None]
        angle = p * torch.exp(-math.log(1e4) * i / (d // 2))  # PE(p, 2 i) = sin(p / 10000^(2 i / d))
        pairs = torch.stack([angle.sin(), angle.cos()], -1).reshape(length, d)
        w.run("positions", {"x": x}, {"halves": torch.tensor(x) + sinusoids(length, d), "pairs": torch.tensor(x) + pairs})
    w.close()


def attention(m, x, memory=None, mask=None, heads=6):
    """Multi-head attention by PyTorch's own function; |mask| is added to the scores."""
    memory = x if memory is None else memory

    def split(y):
        return y.view(len(y), heads, -1).transpose(0, 1)

    y = F.scaled_dot_product_attention(split(m.q_proj(x)), split(m.k_proj(memory)), split(m.v_proj(memory)), attn_mask=mask)
    return m.out_proj(y.transpose(0, 1).reshape(len(x), -1))


def rotate(x, theta=1e4):
    half = x.shape[-1] // 2
    angle = torch.arange(len(x))[:, None, None] * theta ** (-torch.arange(half) / half)
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], -1)


def latent(m, x, heads=6, width=4, rank=10, turned=2):
    """DeepSeek-V2's attention without the query compression, with rotation by halves."""
    q, qr = m.q_proj(x).view(len(x), heads, width + turned).split([width, turned], -1)
    c, kr = m.kv_a_proj_with_mqa(x).split([rank, turned], -1)
    k, v = m.kv_b_proj(m.kv_a_layernorm(c)).view(len(x), heads, 2 * width).split([width, width], -1)
    q = torch.cat([q, rotate(qr)], -1)
    k = torch.cat([k, rotate(kr[:, None]).expand(-1, heads, -1)], -1)
    y = F.scaled_dot_product_attention(q.transpose(0, 1), k.transpose(0, 1), v.transpose(0, 1), is_causal=True)
    return m.o_proj(y.transpose(0, 1).reshape(len(x), -1))


def flow(m, x, heads=6):
    """Linear attention (Katharopoulos et al., 2020), causal, by its quadratic form."""
    q, k = (F.elu(p(x)).view(len(x), heads, -1) + 1 for p in (m.q_proj, m.k_proj))
    s = torch.einsum("thd,uhd->htu", q, k).tril()
    s = s / (s.sum(-1, keepdim=True) + 1e-6)
    return m.out_proj(torch.einsum("htu,uhd->thd", s, m.v_proj(x).view(len(x), heads, -1)).reshape(len(x), -1))


def make_std_attention():
    from transformers.models.bloom.modeling_bloom import build_alibi_tensor
    from transformers.models.t5.modeling_t5 import T5Attention
    d, heads = 24, 6

    def projections(bias=True, key_bias=True):
        return tree(q_proj=linear(d, d, bias), k_proj=linear(d, d, key_bias), v_proj=linear(d, d, bias),
                    out_proj=linear(d, d, bias))

    m = tree(both=projections(), cross=projections(key_bias=False), causal=projections(), alibi=projections(),
             latent=tree(q_proj=linear(d, 36), kv_a_proj_with_mqa=linear(d, 12), kv_a_layernorm=nn.RMSNorm(10, eps=1e-6),
                         kv_b_proj=linear(10, 48), o_proj=linear(24, d)),
             flow=projections(False, False))
    randomize(m, 303)
    w = Writer("std_attention", "tests/zoo/attention.weir")
    w.weights(m.state_dict())
    for i, (length, read) in enumerate(((1, 1), (7, 30), (25, 6))):
        x, memory = floats(430 + i, length, d), floats(440 + i, read, d)
        t = torch.tensor(x)
        later = torch.full((length, length), float("-inf")).triu(1)
        # BLOOM's bias is the key's position alone: a constant for each row less, which softmax does not see.
        bias = build_alibi_tensor(torch.ones(1, length), heads, torch.float32).view(heads, 1, length)
        w.run("whole", {"x": x}, {"output": attention(m.both, t)})
        w.run("write", {"x": x}, {"seen": attention(m.cross, t, torch.tensor(memory)), "past": attention(m.causal, t, mask=later),
                                  "far": attention(m.alibi, t, mask=later + bias), "compact": latent(m.latent, t),
                                  "flow": flow(m.flow, t)},
              step=True, before=[{"entry": "read", "inputs": {"m": w.array(f"memory{i}", memory)}}])
    distance = np.array(sorted({s * v for s in (-1, 1) for v in (*range(20), 31, 59, 60, 61, 127, 128, 300, 499)}), np.int32)
    bucket = T5Attention._relative_position_bucket
    w.run("classes", {"d": distance},
          {"both": bucket(torch.tensor(distance), True, 32, 128).to(torch.int32),
           "past": bucket(torch.tensor(distance), False, 16, 60).to(torch.int32)})
    w.close()


def make_std_recurrent():
    m = tree(lstm=nn.LSTM(5, 7), gru=nn.GRU(5, 7), rnn=nn.RNN(5, 7), both=nn.LSTM(5, 7, bidirectional=True))
    randomize(m, 304)
    w = Writer("std_recurrent", "tests/zoo/recurrent.weir")
    w.weights(m.state_dict())
    for length in (1, 11, 40):
        x = floats(450 + length, length, 5)
        t = torch.tensor(x)
        w.run("run", {"x": x}, {"lstm": m.lstm(t)[0], "gru": m.gru(t)[0], "rnn": m.rnn(t)[0]}, step=True)
        w.run("bidirectional", {"x": x}, {"output": m.both(t)[0]})
    w.close()


def make_std_sequence():
    from transformers import MambaConfig
    from transformers.models.mamba.modeling_mamba import MambaMixer
    config = MambaConfig(hidden_size=5, state_size=3, conv_kernel=3, expand=2, time_step_rank=2, use_mambapy=False)
    m = tree(plain=nn.Conv1d(5, 6, 3, padding=1), strided=nn.Conv1d(5, 6, 5, stride=2, padding=2),
             dilated=nn.Conv1d(5, 6, 3, padding=2, dilation=2), depthwise=nn.Conv1d(5, 5, 3, padding=1, groups=5),
             causal=nn.Conv1d(5, 6, 4), causal_depthwise=nn.Conv1d(5, 5, 4, groups=5), space=MambaMixer(config, 0))
    randomize(m, 305)
    w = Writer("std_sequence", "tests/zoo/sequence.weir")
    w.weights(m.state_dict())

    def along(conv, x, before=0):
        return conv(F.pad(x.T, (before, 0))).T

    for length in (1, 2, 20):
        x = floats(460 + length, length, 5)
        t = torch.tensor(x)
        w.run("whole", {"x": x}, {k: along(getattr(m, k), t) for k in ("plain", "strided", "dilated", "depthwise")})
        w.run("next", {"x": x}, {"causal": along(m.causal, t, 3), "depthwise": along(m.causal_depthwise, t, 3),
                                 "space": m.space(t[None])[0]}, step=True)
    w.close()


def make_std_vision():
    from torchvision.ops import SqueezeExcitation

    def double(i, o):
        return tree(conv1=nn.Conv2d(i, o, 3, padding=1), conv2=nn.Conv2d(o, o, 3, padding=1), norm1=nn.GroupNorm(4, o),
                    norm2=nn.GroupNorm(4, o))

    def twice(m, x):
        return F.silu(m.norm2(m.conv2(F.silu(m.norm1(m.conv1(x))))))

    c = 8
    separable = tree(depthwise=nn.Conv2d(c, c, 5, padding=2, groups=c), pointwise=nn.Conv2d(c, 2 * c, 1))
    m = tree(conv=nn.Conv2d(3, c, 3, 2, 1), even=nn.Conv2d(3, c, 4, padding=1, bias=False),
             grouped=nn.Conv2d(c, 2 * c, 3, padding=1, groups=2, bias=False), transpose=nn.ConvTranspose2d(c, c, 2, 2),
             overlapped=nn.ConvTranspose2d(c, 4, 4, 2, 1, bias=False), separable=separable, batch_norm=nn.BatchNorm2d(c),
             group_norm=nn.GroupNorm(2, c), instance_norm=nn.InstanceNorm2d(c, affine=True), channel_norm=nn.LayerNorm(c, eps=1e-6),
             squeeze=SqueezeExcitation(c, 4, scale_activation=nn.Hardsigmoid), patches=nn.Conv2d(3, c, 4, 4),
             convs=double(c, c), down=tree(convs=double(c, 2 * c)), up=tree(convs=double(3 * c, c)))
    randomize(m, 306)
    w = Writer("std_vision", "tests/zoo/vision.weir")
    w.weights(m.state_dict())
    for batch in (1, 3):
        x = floats(470 + batch, batch, 3, 12, 12)
        t = torch.tensor(x)
        y = m.conv(t)
        w.run("convolutions", {"x": x},
              {"even": m.even(t), "grouped": m.grouped(y), "transpose": m.transpose(y), "overlapped": m.overlapped(y),
               "separable": m.separable.pointwise(m.separable.depthwise(y)), "shuffled": F.pixel_shuffle(y, 2)})
        w.run("norms", {"x": x},
              {"batch": m.batch_norm(y), "group": m.group_norm(y), "instance": m.instance_norm(y),
               "channel": m.channel_norm(y.permute(0, 2, 3, 1)).permute(0, 3, 1, 2), "squeeze": m.squeeze(y)})
        pooled = F.avg_pool2d(F.relu(F.max_pool2d(F.hardswish(y), 2)), 3, 1, 1).mean((2, 3))
        z = twice(m.convs, y)
        low = twice(m.down.convs, F.max_pool2d(z, 2))
        unet = twice(m.up.convs, torch.cat([z, F.interpolate(low, scale_factor=2, mode="nearest")], 1))
        w.run("others", {"x": x}, {"patches": m.patches(t).flatten(2).transpose(1, 2), "pooled": pooled, "unet": unet})
    w.close()


def make_std_loss():
    from torchvision.ops import sigmoid_focal_loss
    w = Writer("std_loss", "tests/zoo/loss.weir")
    for length in (1, 20):
        x, y, z = (floats(480 + length + k, length, 6) for k in (0, 100, 200))
        label = tokens(490 + length, length, 6)
        a, b, c = torch.tensor(x), torch.tensor(y), torch.tensor(z)
        p, q = b.sigmoid(), torch.tensor(label.astype(np.int64))
        classes = [F.cross_entropy(a, q, reduction="none", label_smoothing=s) for s in (0.0, 0.1)]
        rows = [F.mse_loss(a, b, reduction="none"), F.l1_loss(a, b, reduction="none"),
                F.huber_loss(a, b, reduction="none", delta=0.7),
                F.smooth_l1_loss(a, b, reduction="none", beta=0.5), F.binary_cross_entropy_with_logits(a, p, reduction="none")]
        rows = [r.mean(-1) for r in rows]
        rows.append(F.kl_div(b.log_softmax(-1), a.log_softmax(-1), reduction="none", log_target=True).sum(-1))
        rows.append(F.gaussian_nll_loss(a, b, c * c, reduction="none").mean(-1))
        targets = [sigmoid_focal_loss(a, p).mean(-1), sigmoid_focal_loss(a, p, 0.5, 1.5).mean(-1)]
        apart = [F.cosine_similarity(a, b), F.triplet_margin_loss(a, b, c, eps=0, reduction="none")]
        w.run("run", {"x": x, "y": y, "z": z, "label": label},
              {k: torch.stack(v, -1) for k, v in (("classes", classes), ("rows", rows), ("targets", targets), ("apart", apart))})
    w.close()


def make_std_graph():
    i, o, heads = 6, 4, 2
    bias = torch.zeros(heads * o)
    m = tree(sage=tree(lin_l=linear(i, o, True), lin_r=linear(i, o)), gcn=tree(lin=linear(i, o), bias=torch.zeros(o)),
             gat=tree(lin=linear(i, heads * o), att_src=torch.zeros(1, heads, o), att_dst=torch.zeros(1, heads, o), bias=bias.clone()),
             gatv2=tree(lin_l=linear(i, heads * o, True), lin_r=linear(i, heads * o, True), att=torch.zeros(1, heads, o),
                        bias=bias.clone()))
    randomize(m, 308)
    w = Writer("std_graph", "tests/zoo/graph.weir")
    w.weights(m.state_dict())
    for k, (nodes, edges) in enumerate(((1, 0), (4, 9), (12, 40))):
        x, src, dst = floats(500 + k, nodes, i), tokens(510 + k, edges, nodes), tokens(520 + k, edges, nodes)
        t = torch.tensor(x)
        count = torch.zeros(nodes, nodes)  # count[n, s]: edges from s to n
        for s, d in zip(src, dst):
            count[d, s] += 1

        def attend(h, score):  # score[n, s, head], equal for equal edges: the softmax weighs each pair by its count
            e = torch.where(count[..., None] > 0, score.exp() * count[..., None], 0)
            share = e / e.sum(1, keepdim=True).clamp(min=1e-30)
            return torch.einsum("nsh,sho->nho", share, h).reshape(nodes, -1)

        mean = count @ t / count.sum(1, keepdim=True).clamp(min=1)
        loops = count + torch.eye(nodes)
        root = loops.sum(1).rsqrt()
        h = m.gat.lin(t).view(nodes, heads, o)
        score = F.leaky_relu((h * m.gat.att_dst).sum(-1)[:, None] + (h * m.gat.att_src).sum(-1)[None], 0.2)
        left, right = m.gatv2.lin_l(t).view(nodes, heads, o), m.gatv2.lin_r(t).view(nodes, heads, o)
        score2 = (F.leaky_relu(left[None] + right[:, None], 0.2) * m.gatv2.att).sum(-1)
        w.run("run", {"x": x, "src": src, "dst": dst},
              {"sage": m.sage.lin_l(mean) + m.sage.lin_r(t), "gcn": (root[:, None] * loops * root[None]) @ m.gcn.lin(t) + m.gcn.bias,
               "gat": attend(h, score) + m.gat.bias, "gatv2": attend(left, score2) + m.gatv2.bias})
    w.close()


def make_std_moe():
    d, f, count = 8, 12, 5

    def swiglu(width):
        return tree(gate_proj=linear(d, width), up_proj=linear(d, width), down_proj=linear(width, d))

    def moe():
        return tree(gate=linear(d, count), experts=nn.ModuleList([swiglu(f) for _ in range(count)]))

    def expert(m, x):
        return m.down_proj(F.silu(m.gate_proj(x)) * m.up_proj(x))

    def routed(m, x, k, normalize):
        w, chosen = m.gate(x).softmax(-1).topk(k)
        if normalize:
            w = w / w.sum(-1, keepdim=True)
        return torch.stack([sum(w[t, j] * expert(m.experts[chosen[t, j]], x[t]) for j in range(k)) for t in range(len(x))])

    m = tree(sparse=moe(), plain=moe(), shared=tree(routed=moe(), shared_expert=swiglu(6), shared_expert_gate=linear(d, 1)))
    randomize(m, 309)
    w = Writer("std_moe", "tests/zoo/moe.weir")
    w.weights(m.state_dict())
    for length in (1, 25):
        x = floats(530 + length, length, d)
        t = torch.tensor(x)
        shared = torch.sigmoid(m.shared.shared_expert_gate(t)) * expert(m.shared.shared_expert, t)
        w.run("run", {"x": x}, {"sparse": routed(m.sparse, t, 2, True), "plain": routed(m.plain, t, 3, False),
                                "shared": routed(m.shared.routed, t, 2, False) + shared})
    w.close()
