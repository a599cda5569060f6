"""The target: a small Qwen3 (RMSNorm, QK-norm, grouped queries, SwiGLU, tied head, NEOX rope)."""
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import nn


@dataclass(frozen=True)
class Config:
    vocab: int = 640
    hidden: int = 192
    layers: int = 5
    heads: int = 6
    kv_heads: int = 3
    head_dim: int = 32
    ffn: int = 512
    context: int = 1024
    theta: float = 10000.0
    eps: float = 1e-6
    aux: tuple = (1, 3, 4)  # the draft reads the inputs of these layers

    def dict(self):
        return asdict(self)


class Norm(nn.Module):
    def __init__(self, size, eps):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(size)), eps

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * self.weight


def rope_table(c, length=None):
    freq = c.theta ** (-torch.arange(0, c.head_dim, 2).float() / c.head_dim)
    angle = torch.arange(length or c.context).float()[:, None] * freq
    return torch.cat([angle.cos(), angle.cos()], -1), torch.cat([angle.sin(), angle.sin()], -1)


def rotate(x, cos, sin):
    """NEOX rope; x is [..., T, heads, head_dim], cos and sin [..., T, 1, head_dim]."""
    half = x.shape[-1] // 2
    return x * cos + torch.cat([-x[..., half:], x[..., :half]], -1) * sin


class Attention(nn.Module):
    def __init__(self, c, width=None, qk_norm=True):
        super().__init__()
        self.c, width = c, width or c.hidden
        self.q = nn.Linear(width, c.heads * c.head_dim, bias=False)
        self.k = nn.Linear(width, c.kv_heads * c.head_dim, bias=False)
        self.v = nn.Linear(width, c.kv_heads * c.head_dim, bias=False)
        self.o = nn.Linear(c.heads * c.head_dim, c.hidden, bias=False)
        self.q_norm = Norm(c.head_dim, c.eps) if qk_norm else nn.Identity()
        self.k_norm = Norm(c.head_dim, c.eps) if qk_norm else nn.Identity()

    def qkv(self, x, cos, sin):
        b, t, _ = x.shape
        q = rotate(self.q_norm(self.q(x).view(b, t, -1, self.c.head_dim)), cos, sin)
        k = rotate(self.k_norm(self.k(x).view(b, t, -1, self.c.head_dim)), cos, sin)
        return q, k, self.v(x).view(b, t, -1, self.c.head_dim)

    def attend(self, q, k, v, mask=None):
        """q, k, v are [B, T, heads, head_dim]; without a mask the attention is causal."""
        b, t = q.shape[:2]
        group = self.c.heads // self.c.kv_heads
        if t == 1 and mask is not None:  # decoding: the heads of a group are queries of one head, nothing is copied
            q = q.view(b, -1, group, self.c.head_dim)
            y = F.scaled_dot_product_attention(q, k.transpose(1, 2), v.transpose(1, 2), mask)
            return self.o(y.reshape(b, t, -1))
        k, v = (x.transpose(1, 2).repeat_interleave(group, 1) for x in (k, v))
        y = F.scaled_dot_product_attention(q.transpose(1, 2), k, v, attn_mask=mask, is_causal=mask is None)
        return self.o(y.transpose(1, 2).reshape(b, t, -1))


class Mlp(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.gate = nn.Linear(c.hidden, c.ffn, bias=False)
        self.up = nn.Linear(c.hidden, c.ffn, bias=False)
        self.down = nn.Linear(c.ffn, c.hidden, bias=False)

    def forward(self, x):
        return self.down(F.silu(self.gate(x)) * self.up(x))


class Block(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.attn_norm, self.attn = Norm(c.hidden, c.eps), Attention(c)
        self.ffn_norm, self.mlp = Norm(c.hidden, c.eps), Mlp(c)

    def forward(self, x, cos, sin):
        x = x + self.attn.attend(*self.attn.qkv(self.attn_norm(x), cos, sin))
        return x + self.mlp(self.ffn_norm(x))

    def cached(self, x, cos, sin, cache, rows, pos, mask):
        """x is [B, T, H]; keys and values go to cache[:, rows, pos] and the attention sees the cache under mask."""
        q, k, v = self.attn.qkv(self.attn_norm(x), cos, sin)
        cache[0][rows, pos], cache[1][rows, pos] = k, v
        x = x + self.attn.attend(q, cache[0][:, :mask.shape[-1]], cache[1][:, :mask.shape[-1]], mask)
        return x + self.mlp(self.ffn_norm(x))


class Target(nn.Module):
    def __init__(self, c=Config()):
        super().__init__()
        self.c = c
        self.embed = nn.Embedding(c.vocab, c.hidden)
        self.blocks = nn.ModuleList(Block(c) for _ in range(c.layers))
        self.norm = Norm(c.hidden, c.eps)
        cos, sin = rope_table(c)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        for name, p in self.named_parameters():
            if p.dim() == 2:
                deep = name.endswith(("attn.o.weight", "mlp.down.weight"))
                nn.init.normal_(p, std=0.02 if "embed" in name else p.shape[1] ** -0.5 * (0.3 if deep else 0.6))

    def rope(self, positions):
        return self.cos[positions].unsqueeze(-2), self.sin[positions].unsqueeze(-2)

    def forward(self, ids):
        """Normed final states of whole sequences, right-padded."""
        t = ids.shape[1]
        cos, sin = self.cos[:t, None], self.sin[:t, None]
        x = self.embed(ids)
        for block in self.blocks:
            x = block(x, cos, sin)
        return self.norm(x)

    def states(self, ids):
        """(normed final states, concatenated inputs of the auxiliary layers)."""
        t = ids.shape[1]
        cos, sin = self.cos[:t, None], self.sin[:t, None]
        x, aux = self.embed(ids), []
        for i, block in enumerate(self.blocks):
            if i in self.c.aux:
                aux.append(x)
            x = block(x, cos, sin)
        return self.norm(x), torch.cat(aux, -1)

    def logits(self, h):
        return h @ self.embed.weight.T

    def new_cache(self, batch, length):
        c = self.c
        shape = (batch, length, c.kv_heads, c.head_dim)
        return [(torch.zeros(shape), torch.zeros(shape)) for _ in self.blocks]

    def step(self, ids, pos, cache, span, aux=None):
        """ids and pos are [B, T]: writes the cache at pos, sees cache positions <= pos below span; normed states."""
        rows = torch.arange(ids.shape[0])[:, None]
        mask = (torch.arange(span) <= pos[:, :, None]).unsqueeze(1)
        cos, sin = self.rope(pos)
        x = self.embed(ids)
        for i, block in enumerate(self.blocks):
            if aux is not None and i in self.c.aux:
                aux.append(x)
            x = block.cached(x, cos, sin, cache[i], rows, pos, mask)
        return self.norm(x)


def pad(rows, fill):
    width = max(map(len, rows))
    return torch.tensor([list(r) + [fill] * (width - len(r)) for r in rows])


@torch.no_grad()
def generate(model, prompts, chat, limit=760, temperature=0.0, seed=0, stop=None):
    """Continues token lists, greedily or sampled, until <|im_end|>, `limit` new tokens, or stop(new tokens) is true."""
    gen = torch.Generator().manual_seed(seed)
    lengths = torch.tensor([len(p) for p in prompts])
    size = min(int(lengths.max()) + limit + 1, model.c.context)
    cache = model.new_cache(len(prompts), size)
    ids = pad(prompts, chat.pad)
    h = model.step(ids, torch.arange(ids.shape[1]).expand_as(ids), cache, ids.shape[1])
    h = h[torch.arange(len(prompts)), lengths - 1]
    out, live, pos = [[] for _ in prompts], list(range(len(prompts))), lengths.clone()
    while live:
        logits = model.logits(h)
        if temperature > 0:
            nxt = torch.multinomial(torch.softmax(logits / temperature, -1), 1, generator=gen)[:, 0]
        else:
            nxt = logits.argmax(-1)
        keep = []
        for row, token in enumerate(nxt.tolist()):
            got = out[live[row]]
            got.append(token)
            if token != chat.end and len(got) < limit and pos[row] < size - 1 and not (stop and stop(got)):
                keep.append(row)
        if len(keep) < len(live):
            cache = [(k[keep], v[keep]) for k, v in cache]
            live, nxt, pos = [live[r] for r in keep], nxt[keep], pos[keep]
        if live:
            h = model.step(nxt[:, None], pos[:, None], cache, int(pos.max()) + 1)[:, 0]
            pos = pos + 1
    return out

