"""Advantages, KL estimates, whitening and policy losses as TRL and the method's description give them.

    python tests/golden/make_rl.py [OUT_DIR]        # default: the folder of this script; writes rl.json

Where it can, this runs TRL's own code: the advantages by executing the very lines of the trainers' methods (they are
no functions), the losses by calling `GRPOTrainer._compute_loss` and `RLOOTrainer._compute_loss` on a stand-in for
`self`. All sums are float64. The inputs are in the file. README.md says what each entry holds.
"""
# Made with torch 2.13.0, trl 1.16.0.
import inspect
import json
import pathlib
import sys
import textwrap
from types import SimpleNamespace

import torch
from trl import GRPOTrainer, RLOOTrainer
from trl.trainer import grpo_trainer, rloo_trainer

OUT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent)
GROUPS, SIZE, LONGEST = 3, 4, 12
LENGTHS = [3, 7, 9, 5, 1, 6, 4, 8, 12, 2, 5, 7]
REWARDS = [1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.2, 0.2, -1.0, 1.2]
UNSCORABLE = [1.0, None, 0.0, 1.0, None, None, None, 0.5, None, None, None, None]
CLIPS = {"symmetric": (0.2, 0.2), "asymmetric": (0.2, 0.28)}

torch.set_default_dtype(torch.float64)
MASK = torch.arange(LONGEST) < torch.tensor(LENGTHS)[:, None]


def digits(values):
    """Nested lists with 15 significant digits; NaN becomes null."""
    if isinstance(values, torch.Tensor):
        values = values.detach().tolist()
    if isinstance(values, list):
        return [digits(v) for v in values]
    return None if values != values else float(f"{values:.15g}") + 0.0


def ragged(padded):
    return [digits(row[:n]) for row, n in zip(padded, LENGTHS)]


def lines_of(method, first, last):
    """The source lines of `method` from the one that holds `first` to the one that holds `last`, and where they are."""
    source, start = inspect.getsourcelines(method)
    a = next(i for i, line in enumerate(source) if first in line)
    b = next(i for i, line in enumerate(source) if i >= a and last in line)
    where = f"{pathlib.Path(inspect.getsourcefile(method)).name}:{start + a}-{start + b}"
    return textwrap.dedent("".join(source[a:b + 1])), where


def run_lines(method, first, last, module, **names):
    code, where = lines_of(method, first, last)
    scope = vars(module) | names
    exec(code, scope)
    return scope["advantages"], where


def rewards_tensor(values):
    return torch.tensor([float("nan") if v is None else v for v in values])


def trl_rloo(values, normalize=False, beta=0.0, old=None, ref=None):
    mask = MASK.double()
    return run_lines(RLOOTrainer._generate_and_score_completions, "# Include the KL penalty", "torch.nan_to_num(adv",
                     rloo_trainer, rewards=rewards_tensor(values), num_generations=SIZE, gather=lambda x: x,
                     old_per_token_logps=old, ref_per_token_logps=ref, completion_mask=mask,
                     self=SimpleNamespace(beta=beta, normalize_advantages=normalize))


def trl_grpo(values, scale):
    rewards = rewards_tensor(values)
    return run_lines(GRPOTrainer._generate_and_score_completions, "if self.multi_objective_aggregation == \"sum",
                     "torch.nan_to_num(adv", grpo_trainer, rewards_per_func=rewards[:, None], device="cpu",
                     unscorable_mask=rewards.isnan(), num_generations=SIZE,
                     self=SimpleNamespace(multi_objective_aggregation="sum_then_normalize", scale_rewards=scale,
                                          reward_weights=torch.ones(1)))


class Anything(dict):
    """Metrics sink: every key is a fresh list."""

    def __missing__(self, key):
        return self.setdefault(key, [])


def trainer(log_probs, **settings):
    """What `_compute_loss` needs of a trainer whose model gives these log-probs. Returns it and its metrics."""
    metrics = Anything()
    accelerator = SimpleNamespace(gather=lambda x: x, reduce=lambda x, reduction: x, num_processes=1,
                                  gather_for_metrics=lambda x: x, sync_gradients=True)
    base = dict(
        accelerator=accelerator, model=SimpleNamespace(training=True), _metrics={"train": metrics},
        aux_loss_enabled=False, beta=0.0, epsilon_low=0.2, epsilon_high=0.2, top_entropy_quantile=1.0,
        off_policy_mask_threshold=None, importance_sampling_level="token", loss_type="grpo", use_vllm=False,
        vllm_importance_sampling_correction=False, _entropy_bonus_enabled=False, entropy_coef=0.0,
        current_gradient_accumulation_steps=1, max_completion_length=LONGEST,
        args=SimpleNamespace(delta=None, use_bias_correction_kl=False, steps_per_generation=1),
        _get_per_token_logps_and_entropies=lambda *a, **k: (log_probs, torch.zeros_like(log_probs), None))
    return SimpleNamespace(**base | settings), metrics


def trl_loss(which, inputs, new, **settings):
    """Loss of TRL's own method, its gradient for each new log-prob, and the share of clipped tokens or sequences."""
    new = new.clone().requires_grad_()
    me, metrics = trainer(new, **settings)
    ids = torch.zeros(len(LENGTHS), LONGEST, dtype=torch.long)
    fixed = dict(prompt_ids=ids[:, :1], prompt_mask=ids[:, :1], completion_ids=ids, completion_mask=MASK.double(),
                 num_items_in_batch=MASK.sum().double())
    loss = which._compute_loss(me, None, fixed | inputs)
    grad, = torch.autograd.grad(loss, new)
    share = {k.split("/")[1]: digits(v[0]) for k, v in metrics.items() if k in ("clip_ratio/low_mean", "clip_ratio/high_mean")}
    return dict(loss=digits(loss), gradient=ragged(grad), **share)


def plain_loss(advantages, new, old, low, high, how):
    """The same loss as docs/method.md writes it, as a check on the stand-in: mean of each sequence, then of the sequences."""
    ratio = (new - old).exp()
    token = -torch.minimum(ratio * advantages, ratio.clamp(1 - low, 1 + high) * advantages)
    sums = [row[:n].sum() for row, n in zip(token, LENGTHS)]
    return {"sequence_mean": sum(s / n for s, n in zip(sums, LENGTHS)) / len(sums),
            "token_mean": sum(sums) / sum(LENGTHS),
            "constant": sum(sums) / (len(sums) * LONGEST)}[how]


def method_advantages(old, ref, beta):
    """docs/method.md: leave-one-out advantage at the last token, minus beta * k1 at every token, summed from the right, whitened."""
    rewards = torch.tensor(REWARDS).view(GROUPS, SIZE)
    rloo = (rewards - (rewards.sum(1, keepdim=True) - rewards) / (SIZE - 1)).flatten()
    token_rewards = -beta * (old - ref) * MASK
    token_rewards[torch.arange(len(LENGTHS)), torch.tensor(LENGTHS) - 1] += rloo
    returns = token_rewards.flip(1).cumsum(1).flip(1)
    mean = returns[MASK].mean()
    variance = ((returns[MASK] - mean) ** 2).mean()
    whitened = (returns - mean) * variance.clamp(min=1e-8).rsqrt() * MASK
    entry = dict(beta=beta, token_rewards=ragged(token_rewards), returns=ragged(returns), mean=digits(mean),
                 variance=digits(variance), whitened=ragged(whitened))
    return whitened, entry


def main():
    rng = torch.Generator().manual_seed(11)
    randn = lambda: torch.randn(len(LENGTHS), LONGEST, generator=rng)
    old = -randn().abs() - 0.05
    new, ref = old + 0.3 * randn(), old + 0.2 * randn()
    old, new, ref = (torch.tensor([[float(f"{v:.6f}") for v in row] for row in x.tolist()]) for x in (old, new, ref))
    new, ref = new.clamp(max=-1e-6), ref.clamp(max=-1e-6)
    out = dict(group_size=SIZE, longest=LONGEST, lengths=LENGTHS, rewards=REWARDS, rewards_unscorable=UNSCORABLE,
               old_log_probs=ragged(old), new_log_probs=ragged(new), ref_log_probs=ragged(ref))

    sources, advantages = {}, {}
    for name, call in {
        "rloo": lambda v: trl_rloo(v),
        "rloo_normalized": lambda v: trl_rloo(v, normalize=True),
        "rloo_kl_in_reward_0.05": lambda v: trl_rloo(v, beta=0.05, old=old, ref=ref),
        "grpo_group": lambda v: trl_grpo(v, "group"),
        "grpo_batch": lambda v: trl_grpo(v, "batch"),
        "grpo_none": lambda v: trl_grpo(v, "none"),
    }.items():
        plain, sources[f"advantages.{name}"] = call(REWARDS)
        advantages[name] = dict(rewards=digits(plain), rewards_unscorable=digits(call(UNSCORABLE)[0]))
    out["advantages"] = advantages

    d = old - ref
    out["kl"] = dict(k1=ragged(d), k2=ragged(d * d / 2), k3=ragged((-d).exp() + d - 1),
                     mean_k1=digits(d[MASK].mean()))
    whitened, out["method"] = method_advantages(old, ref, 0.01)
    _, out["method_beta_0.5"] = method_advantages(old, ref, 0.5)

    rloo = torch.tensor(advantages["rloo"]["rewards"])
    losses = {}
    for how, kind in {"sequence_mean": "grpo", "token_mean": "dapo", "constant": "dr_grpo"}.items():
        for clip, (low, high) in CLIPS.items():
            for source, adv in {"rloo": rloo, "method": whitened}.items():
                got = trl_loss(GRPOTrainer, dict(advantages=adv, old_per_token_logps=old), new, loss_type=kind,
                               epsilon_low=low, epsilon_high=high)
                by_hand = plain_loss(adv if adv.dim() == 2 else adv[:, None], new, old, low, high, how)
                assert abs(by_hand - got["loss"]) < 1e-12, (how, clip, source)
                losses[f"{how}.{clip}.{source}"] = got
    both = dict(advantages=rloo, old_per_token_logps=old, ref_per_token_logps=ref)
    for corrected in (False, True):
        args = SimpleNamespace(delta=None, use_bias_correction_kl=corrected, steps_per_generation=1)
        name = "sequence_mean.symmetric.rloo.k3_in_loss_0.05" + ("_importance_weighted" if corrected else "")
        losses[name] = trl_loss(GRPOTrainer, both, new, beta=0.05, args=args)
    two_sided = SimpleNamespace(delta=1.5, use_bias_correction_kl=False, steps_per_generation=1)
    losses["sequence_mean.symmetric.rloo.two_sided_1.5"] = trl_loss(GRPOTrainer, both, new, args=two_sided)
    losses["sequence_mean.symmetric.rloo.ratio_of_sequence_mean"] = trl_loss(
        GRPOTrainer, both, new, importance_sampling_level="sequence")
    losses["trl_rloo.symmetric.rloo.ratio_of_sequence_sum"] = trl_loss(
        RLOOTrainer, dict(advantages=rloo, old_logps=(old * MASK).sum(1)), new)
    out["losses"] = losses
    for name, method in {"losses": GRPOTrainer._compute_loss, "losses.trl_rloo": RLOOTrainer._compute_loss}.items():
        first = inspect.getsourcelines(method)[1]
        sources[name] = f"{pathlib.Path(inspect.getsourcefile(method)).name}:{first} (called)"
    out = dict(versions=dict(torch=torch.__version__.split("+")[0], trl="1.16.0"), trl_sources=sources) | out

    text = []
    for key, value in out.items():
        nested = isinstance(value, dict) and any(isinstance(v, (dict, list)) for v in value.values())
        body = json.dumps(value) if not nested else "{\n" + ",\n".join(
            f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in value.items()) + "\n}"
        text.append(f"{json.dumps(key)}: {body}")
    (OUT / "rl.json").write_text("{\n" + ",\n".join(text) + "\n}\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
