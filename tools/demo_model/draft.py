"""The EAGLE-3 draft with three signal rows: the training-time-test pass and greedy chains.

Pair t is (feature at t, token t + 1) at rotary position t and predicts token t + 2.  `fc` has H + 3 rows; the last three
are the signals confidence, progress and remain of the token at t.  The head is the target's.
"""
import torch
import torch.nn.functional as F
from torch import nn

from model import Attention, Mlp, Norm, rope_table


class Draft(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        self.fc = nn.Linear(len(c.aux) * c.hidden, c.hidden + 3, bias=False)
        self.embed_norm, self.feature_norm = Norm(c.hidden, c.eps), Norm(c.hidden, c.eps)
        self.attn = Attention(c, 2 * c.hidden, qk_norm=False)
        self.ffn_norm, self.mlp, self.norm = Norm(c.hidden, c.eps), Mlp(c), Norm(c.hidden, c.eps)
        cos, sin = rope_table(c, c.context + 8)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        with torch.no_grad():
            for n, p in self.named_parameters():
                if p.dim() == 2:
                    p.normal_(std=p.shape[1] ** -0.5 * 0.5)
            self.fc.weight[c.hidden:] = 0

    def feature(self, aux):
        return F.linear(aux, self.fc.weight[:self.c.hidden])

    def signals(self, aux):
        """[..., 3]: confidence and progress in 0..1, remaining tokens."""
        raw = F.linear(aux, self.fc.weight[self.c.hidden:])
        return torch.cat([raw[..., :2].sigmoid(), raw[..., 2:].exp()], -1)

    def qkv(self, feature, embedded, cos, sin):
        return self.attn.qkv(torch.cat([self.embed_norm(embedded), self.feature_norm(feature)], -1), cos, sin)

    def finish(self, feature, attended):
        """The layer's output: it is the next level's feature; `norm` of it goes to the head."""
        x = feature + attended
        return x + self.mlp(self.ffn_norm(x))

    def levels(self, aux, embedded, count):
        """Training-time test: aux and the embeddings of the next tokens are [B, T, ...]; the normed outputs of `count`
        levels.  Level j at t takes level j - 1's output at t - 1, and sees the true pairs up to t - j and its own
        ancestors at t - j + 1 .. t."""
        b, t, _ = embedded.shape
        c, group = self.c, self.c.heads // self.c.kv_heads
        cos, sin = self.cos[:t, None], self.sin[:t, None]
        feature, out, keys, values = self.feature(aux), [], [], []
        distance = torch.arange(t)[:, None] - torch.arange(t)
        for j in range(count):
            q, k, v = self.qkv(feature, embedded, cos, sin)
            q, k, v = q.transpose(1, 2), *(x.transpose(1, 2).repeat_interleave(group, 1) for x in (k, v))
            keys.append(k)
            values.append(v)
            if j == 0:
                y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            else:
                y = self.ancestors(q, keys, values, distance >= j, j)
            y = self.attn.o(y.transpose(1, 2).reshape(b, t, -1))
            x = self.finish(feature, y)
            out.append(self.norm(x))
            feature = F.pad(x, (0, 0, 1, 0))[:, :-1]
        return out

    def ancestors(self, q, keys, values, seen, j):
        scale = q.shape[-1] ** -0.5
        base = (q @ keys[0].mT).masked_fill(~seen, -1e9)
        back = lambda x, n: F.pad(x, (0, 0, n, 0))[:, :, :x.shape[2]]
        own = [(q * back(keys[i], j - i)).sum(-1, keepdim=True) for i in range(1, j + 1)]
        p = torch.cat([base] + own, -1).mul(scale).softmax(-1)
        t = base.shape[-1]
        y = p[..., :t] @ values[0]
        for i in range(1, j + 1):
            y = y + p[..., t + i - 1:t + i] * back(values[i], j - i)
        return y


@torch.no_grad()
def chain(draft, target, aux, ids, length):
    """Greedy draft tokens after every pair of one sequence: [T - 1, length]; row t continues tokens 0 .. t + 1."""
    t = len(ids) - 1
    embedded = target.embed(torch.tensor(ids[1:]))[None]
    cos, sin = draft.cos[:t, None], draft.sin[:t, None]
    feature = draft.feature(aux[None, :t])
    q, k, v = draft.qkv(feature, embedded, cos, sin)
    x = draft.finish(feature, draft.attn.attend(q, k, v))[0]
    c, heads = draft.c, draft.c.heads // draft.c.kv_heads
    k0, v0 = (z[0].repeat_interleave(heads, 1) for z in (k, v))
    seen = torch.arange(t)[:, None] >= torch.arange(t)
    tokens, own_k, own_v = [target.logits(draft.norm(x)).argmax(-1)], [], []
    for level in range(1, length):
        at = torch.arange(t) + level
        cos, sin = draft.cos[at][:, None], draft.sin[at][:, None]
        feature = x
        q, k, v = draft.qkv(feature[:, None], target.embed(tokens[-1])[:, None], cos[:, None], sin[:, None])
        q = q[:, 0]
        own_k.append(k[:, 0].repeat_interleave(heads, 1))
        own_v.append(v[:, 0].repeat_interleave(heads, 1))
        base = torch.einsum("thd,shd->hts", q, k0).masked_fill(~seen, -1e9)
        own = [torch.einsum("thd,thd->ht", q, z)[..., None] for z in own_k]
        p = torch.cat([base] + own, -1).mul(c.head_dim ** -0.5).softmax(-1)
        y = torch.einsum("hts,shd->thd", p[..., :t], v0)
        for i, z in enumerate(own_v):
            y = y + p[..., t + i].T[..., None] * z
        x = draft.finish(feature, draft.attn.o(y.reshape(t, -1)))
        tokens.append(target.logits(draft.norm(x)).argmax(-1))
    return torch.stack(tokens, 1)


def acceptance(drafted, ids, begin):
    """(cycles, tokens made) of greedy chain decoding of ids[begin:], which plain greedy decoding has made."""
    at, cycles, length = begin, 0, drafted.shape[1]
    # The prefill makes token `begin`; a cycle with root at `at` drafts from pair at - 1.
    while at < len(ids) - 1:
        rows, n = drafted[at - 1].tolist(), 0
        while n < length and at + 1 + n < len(ids) and rows[n] == ids[at + 1 + n]:
            n += 1
        made = min(n + 1, len(ids) - 1 - at)
        at, cycles = at + made, cycles + 1
    return cycles, at - begin
