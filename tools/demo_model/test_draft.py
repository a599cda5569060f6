"""The training pass and the decoding pass of the draft must agree; so must cached and whole-sequence target passes."""
import torch

from draft import Draft, chain
from model import Config, Target, generate


class FakeChat:
    pad, end = 0, 1


def main():
    torch.manual_seed(1)
    target, draft = Target(Config()).eval(), Draft(Config())
    for p in target.parameters():
        p.requires_grad_(False)
        if p.dim() == 2:
            p.mul_(4)
    ids = torch.randint(2, 640, (30,)).tolist()
    _, aux = target.states(torch.tensor([ids]))
    drafted = chain(draft, target, aux[0], ids, 5)
    for t in (0, 7, 28):
        whole = ids[:t + 2] + drafted[t].tolist()
        _, aux = target.states(torch.tensor([whole]))
        n = len(whole) - 1
        outs = draft.levels(aux[:, :n], target.embed(torch.tensor([whole[1:]])), 5)
        got = [int(target.logits(o[0, t + j]).argmax()) for j, o in enumerate(outs)]
        assert got == drafted[t].tolist(), (t, got, drafted[t])
    prompts = [ids[:5], ids[:17], ids[:11]]
    for prompt, made in zip(prompts, generate(target, prompts, FakeChat, 12)):
        seq = list(prompt)
        for token in made:
            assert int(target.logits(target(torch.tensor([seq]))[0, -1]).argmax()) == token
            seq.append(token)
    print("draft and cache agree")


if __name__ == "__main__":
    main()
