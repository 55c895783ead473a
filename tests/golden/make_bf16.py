"""Log-probs of models whose products with weights compute in bf16: expected_bf16.json.

    .venv/bin/python tests/golden/make_bf16.py

Weights of linear layers and the embedding are rounded to bf16, and so is what goes into a linear layer; sums and all else
stay in float32. Nothing here uses bf16 arithmetic: the products of two such values are exact in float32.
"""
import json
import pathlib

import torch
from transformers import AutoModelForCausalLM

HERE = pathlib.Path(__file__).parent / "models"


def rounded(x):
    return x.to(torch.bfloat16).to(torch.float32)


def log_probs(model, rows):
    out = []
    for ids in rows:
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0, :-1]
        values = torch.log_softmax(logits, -1).gather(1, torch.tensor(ids[1:])[:, None])[:, 0]
        out.append([float(f"{v:.7g}") for v in values.tolist()])
    return out


for name in ["qwen2-tied", "qwen3-tied", "llama-untied"]:
    folder = HERE / name
    ids = json.loads((folder / "expected.json").read_text())["ids"]
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    exact = log_probs(model, ids)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, (torch.nn.Linear, torch.nn.Embedding)):
                module.weight.copy_(rounded(module.weight))
            if isinstance(module, torch.nn.Linear):
                module.register_forward_pre_hook(lambda _, args: (rounded(args[0]),))
    result = {"ids": ids, "logprobs": log_probs(model, ids)}
    (folder / "expected_bf16.json").write_text(json.dumps(result) + "\n")
    difference = max(abs(a - b) for x, y in zip(result["logprobs"], exact) for a, b in zip(x, y))
    print(name, "moves by at most", difference)
