"""Muon for the matrices of the blocks, AdamW for everything else."""
import torch


def orthogonal(g, steps=4):
    """Newton-Schulz: nearly the closest half-orthogonal matrices to a batch of matrices with rows <= columns."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = g / (g.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        s = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(s, s, s, beta=b, alpha=c), x, beta=a)
    return x


class Muon(torch.optim.Optimizer):
    def __init__(self, params, lr=0.02, momentum=0.95, decay=0.01):
        super().__init__(params, {"lr": lr, "momentum": momentum, "decay": decay})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            shapes = {}
            for p in group["params"]:
                buf = self.state[p].setdefault("momentum", torch.zeros_like(p))
                buf.lerp_(p.grad, 1 - group["momentum"])
                g = p.grad.lerp(buf, group["momentum"])
                flip = g.shape[0] > g.shape[1]
                g = g.mT if flip else g
                shapes.setdefault(g.shape, []).append((p, g, flip))
            for items in shapes.values():
                for (p, _, flip), u in zip(items, orthogonal(torch.stack([g for _, g, _ in items]))):
                    p.mul_(1 - group["lr"] * group["decay"])
                    scale = max(1.0, p.shape[0] / p.shape[1]) ** 0.5
                    p.add_(u.mT if flip else u, alpha=-group["lr"] * scale)


def optimizers(model, lr, adam_lr, decay=0.01):
    """The matrices of attention and MLP by Muon, the rest by AdamW."""
    matrix = lambda n, p: p.dim() == 2 and n.split(".")[0] in ("blocks", "attn", "mlp")
    named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    muon = Muon([p for n, p in named if matrix(n, p)], lr=lr, decay=decay)
    adam = torch.optim.AdamW([p for n, p in named if not matrix(n, p)], lr=adam_lr, betas=(0.9, 0.98),
                             weight_decay=0.0, fused=True)
    for opt in (muon, adam):
        for group in opt.param_groups:
            group["peak"] = group["lr"]
    return [muon, adam]


def set_rate(opts, factor):
    for opt in opts:
        for group in opt.param_groups:
            group["lr"] = group["peak"] * factor
