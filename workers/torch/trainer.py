"""The model behind the worker: FSDP2 over all processes, full weights or LoRA, AdamW in f32.

Every process runs the same calls in the same order; each works on its share of the micro-batches.
`Refused` is what a request can be answered with while all goes on; it is raised by every process
or by none, since it depends on what all of them know. Any other error ends the worker.

Left out: tensor, pipeline, expert and context parallelism; every process reads the whole model into
host memory while it starts.
"""
import json
import math
import os
import re
import shutil

import peft
import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from safetensors.torch import save_file
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.utils.checkpoint import checkpoint
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.modeling_layers import GradientCheckpointingLayer

LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
HEAD_CHUNK = 1024  # tokens whose logits exist at one time
TOKENIZER_FILES = ("tokenizer", "special_tokens", "added_tokens", "vocab", "merges", "chat_template", "generation_config")


class Refused(Exception):
    """A request that cannot be served; the state of models is as it was, unless it says otherwise."""


class Scorer(torch.nn.Module):
    """Token ids to log-probs of target ids. FSDP's root, so that the head runs inside of it."""

    def __init__(self, net, chunked=True):
        super().__init__()
        self.net, self.chunked = net, chunked

    def forward(self, ids, targets, temperature):
        """`ids`, `targets`: `[batch, seq]`; gives `[batch, seq]`, in nats, f32. Without targets, what
        comes after `ids` of one row: `[vocab]`."""
        causal = self.net.get_base_model() if isinstance(self.net, peft.PeftModel) else self.net
        if targets is None:
            return (causal(input_ids=ids, use_cache=False).logits[0, -1].float() / temperature).log_softmax(-1)
        if not self.chunked:
            return log_probs(causal(input_ids=ids, use_cache=False).logits, targets, temperature)
        hidden = causal.base_model(input_ids=ids, use_cache=False).last_hidden_state
        head = causal.get_output_embeddings()
        run = lambda h, t: log_probs(head(h), t, temperature)
        rows = zip(hidden.flatten(0, 1).split(HEAD_CHUNK), targets.flatten().split(HEAD_CHUNK))
        # Logits of a chunk are made again on the way back, so they never exist for all tokens.
        parts = [checkpoint(run, h, t, use_reentrant=False) for h, t in rows]
        return torch.cat(parts).view_as(targets).clone()  # FSDP's hooks want no view


def log_probs(logits, targets, temperature):
    logits = logits.float() / temperature
    return logits.gather(-1, targets[..., None])[..., 0] - logits.logsumexp(-1)


class Slot:
    """One model of a client: an adapter of the shared net, or a net of its own."""

    def __init__(self, scorer, adapter, frozen):
        self.scorer, self.adapter, self.frozen = scorer, adapter, frozen
        self.optimizer, self.steps, self.exported, self.dropped = None, 0, {}, None

    def parameters(self):
        """The trained parameters by the name under which they are saved."""
        # FSDP leaves the root gathered behind a pass forward: its parameters are other objects then,
        # which no optimizer knows.
        self.scorer.reshard()
        named = dict(self.scorer.net.named_parameters())
        if self.adapter is not None:
            mine = f".{self.adapter}."
            named = {name.replace(mine, "."): p for name, p in named.items() if mine in name}
        whole = [name for name, p in named.items() if not isinstance(p, DTensor)]
        if whole:
            raise RuntimeError(f"parameters are gathered where shards are wanted: {whole[:3]}")
        return named

    def fresh_optimizer(self):
        """AdamW whose weight decay acts on matrices only."""
        params = list(self.parameters().values())
        groups = [[p for p in params if p.ndim >= 2], [p for p in params if p.ndim < 2]]
        groups = [{"params": group, "decays": i == 0} for i, group in enumerate(groups) if group]
        self.optimizer, self.steps = torch.optim.AdamW(groups, lr=0.0), 0

    def drop_gradients(self):
        if self.optimizer:
            self.optimizer.zero_grad()


class Trainer:
    def __init__(self, options, control):
        self.options, self.control = options, control
        self.rank, self.world = dist.get_rank(), dist.get_world_size()
        cuda = torch.cuda.is_available()
        self.device = torch.device("cuda", torch.cuda.current_device()) if cuda else torch.device("cpu")
        replicas = options.replicas
        if self.world % replicas:
            raise SystemExit(f"--replicas {replicas}: {self.world} processes cannot be split into that many")
        shape = (replicas, self.world // replicas) if replicas > 1 else (self.world,)
        self.mesh = init_device_mesh(self.device.type, shape, mesh_dim_names=("replicate", "shard")[-len(shape):])
        self.dtype = getattr(torch, options.dtype)
        self.config = AutoConfig.from_pretrained(options.model)
        text = self.config.get_text_config()
        self.vocab, self.context = text.vocab_size, getattr(text, "max_position_embeddings", None) or 1 << 30
        self.slots, self.shared, self.free = {}, None, []
        self.lora = None
        if options.lora_rank:
            self.lora = peft.LoraConfig(r=options.lora_rank, lora_alpha=options.lora_alpha, task_type="CAUSAL_LM",
                                        target_modules=options.target_modules.split(","))
            self.free = [f"slot{i}" for i in range(options.slots)]
            self.shared = self.build()

    # -- models ---------------------------------------------------------------------------------

    def build(self):
        """Reads the model and shards it. Full weights are kept in f32 and rounded when gathered."""
        masters = torch.float32 if self.lora is None else self.dtype
        net = AutoModelForCausalLM.from_pretrained(self.options.model, dtype=masters).eval()
        chunked = plain_head(net)
        if not self.options.no_recompute:
            recompute(net)
        if self.lora:
            net.requires_grad_(False)
            net = peft.get_peft_model(net, self.lora, adapter_name=self.free[0])
            for name in self.free[1:]:
                net.add_adapter(name, self.lora)
            for name, p in net.named_parameters():
                p.requires_grad_("lora_" in name)
        scorer = Scorer(net, chunked)
        policy = MixedPrecisionPolicy(param_dtype=self.dtype, reduce_dtype=torch.float32)
        if self.dtype == torch.float32:
            policy = MixedPrecisionPolicy()
        for layer in layers_of(net):
            fully_shard(layer, mesh=self.mesh, mp_policy=policy)
        return fully_shard(scorer, mesh=self.mesh, mp_policy=policy)

    def slot(self, q):
        if q["model_id"] not in self.slots:
            raise Refused(f"unknown model `{q['model_id']}`; create_model, then load_weights of the last state")
        return self.slots[q["model_id"]]

    def create_model(self, q):
        lora, frozen = q.get("lora_config") or {"rank": 0}, bool(q.get("frozen"))
        rank = lora.get("rank") or 0
        if rank != self.options.lora_rank:
            raise Refused(f"lora_config.rank is {rank}; this worker was started for {self.options.lora_rank}")
        alpha = lora.get("alpha", self.options.lora_alpha)
        if rank and alpha != self.options.lora_alpha:
            raise Refused(f"lora_config.alpha is {alpha}; this worker was started for {self.options.lora_alpha}")
        if self.lora:
            slot = Slot(self.shared, None, frozen)
            if not frozen:  # a frozen model is the base until weights are loaded
                self.take_adapter(slot, lora.get("seed") or 0)
        else:
            if len(self.slots) >= self.options.slots:
                raise Refused(self.full())
            slot = Slot(self.build(), None, frozen)
        if not frozen:
            slot.fresh_optimizer()
        self.slots[q["model_id"]] = slot
        return {"model_id": q["model_id"], "base_model": self.options.model, "lora_config": q.get("lora_config"),
                "is_lora": bool(rank), "type": "create_model"}

    def full(self):
        return f"all {self.options.slots} places for models are taken; unload one, or start with more --slots"

    def take_adapter(self, slot, seed):
        if not self.free:
            raise Refused(self.full())
        slot.adapter = self.free.pop(0)
        draws = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for name, p in slot.parameters().items():
                bound = p.shape[1] ** -0.5 if "lora_A" in name else 0.0
                whole = (torch.rand(p.shape, generator=draws) * 2 - 1) * bound
                p.copy_(distribute_tensor(whole.to(self.device), p.device_mesh, p.placements))

    def unload_model(self, q):
        slot = self.slot(q)
        slot.drop_gradients()
        if slot.adapter:
            self.free.insert(0, slot.adapter)
        del self.slots[q["model_id"]]
        return {"model_id": q["model_id"], "type": "unload_model"}

    def activate(self, slot):
        for module in slot.scorer.modules():
            if isinstance(module, peft.tuners.lora.LoraLayer):
                module._disable_adapters = slot.adapter is None
                module._active_adapter = [slot.adapter or "slot0"]

    # -- forward and backward -------------------------------------------------------------------

    def forward(self, q):
        return self.run(self.slot(q), q["forward_input"], backward=False)

    def forward_backward(self, q):
        slot = self.slot(q)
        if slot.frozen:
            raise Refused("this model is frozen: it takes `forward` alone")
        if slot.dropped:
            raise Refused(slot.dropped)
        return self.run(slot, q["forward_backward_input"], backward=True)

    def run(self, slot, given, backward):
        self.activate(slot)
        data, loss_fn = given["data"], given["loss_fn"]
        temperature = (given.get("loss_fn_config") or {}).get("temperature", 1.0)
        rows, total = {}, 0.0
        for part in self.share(data):
            # FSDP's collectives need every process in every pass: one without work runs a dummy.
            ids, targets = padded([data[i] for i in part] or [data[0]], self.device)
            with torch.set_grad_enabled(backward):
                lp = slot.scorer(ids, targets, temperature)
                loss = 0.0 * lp.sum()
                for row, i in enumerate(part):
                    values = lp[row, : len(data[i]["targets"])]
                    each = losses(loss_fn, values, data[i], self.device)
                    loss = loss + each.sum()
                    rows[i] = (values.tolist(), each.tolist())
            if backward:
                (loss * self.world).backward()  # FSDP takes the mean over processes; a sum is wanted
            total += loss.item()
        slot.scorer.reshard()  # else a step would change shards beside a gathered copy of before
        return self.answer(slot, rows, total, backward)

    def answer(self, slot, rows, total, backward):
        """Gathers the rows of all processes, in the order of the request."""
        shares = self.gather((rows, total))
        rows = {i: row for share, _ in shares for i, row in share.items()}
        outputs = [rows[i] for i in sorted(rows)]
        for i, (lp, each) in enumerate(outputs):
            bad = next((t for t, x in enumerate(lp) if not math.isfinite(x)), None)
            if bad is None:
                bad = next((t for t, x in enumerate(each) if not math.isfinite(x)), None)
            if bad is not None:
                raise Refused(self.not_finite(slot, i, bad, lp[bad], backward))
        tensor = lambda x: {"data": x, "dtype": "float32", "shape": [len(x)]}
        outputs = [{"logprobs": tensor(lp), "elementwise_loss": tensor(each)} for lp, each in outputs]
        loss = sum(total for _, total in shares)
        loss = loss if math.isfinite(loss) else None
        return {"loss_fn_output_type": "scalar", "loss_fn_outputs": outputs, "metrics": {"loss:sum": loss}}

    def not_finite(self, slot, datum, token, value, backward):
        message = f"data[{datum}]: log-prob or loss of token {token} is not finite (log-prob {value})"
        if not backward:
            return message
        slot.drop_gradients()
        slot.dropped = "gradients were dropped after an error; load_weights of the last state, or zero_grad"
        return f"{message}; all gradients since the last step were dropped"

    def share(self, data):
        """This process's micro-batches: like lengths together, bounded in padded tokens, as many for
        every process."""
        order = sorted(range(len(data)), key=lambda i: (-len(data[i]["targets"]), i))
        most = -(-len(data) // self.world)
        batches, widest = [], 0
        for i in order:
            if batches and len(batches[-1]) < most and (len(batches[-1]) + 1) * widest <= self.options.micro_tokens:
                batches[-1].append(i)
            else:
                batches.append([i])
                widest = len(data[i]["targets"])
        batches += [[] for _ in range(-len(batches) % self.world)]
        return batches[self.rank::self.world]

    def gather(self, mine):
        out = [None] * self.world
        dist.all_gather_object(out, mine, group=self.control)
        return out

    # -- optimizer ------------------------------------------------------------------------------

    def optim_step(self, q):
        slot, adam = self.slot(q), q["adam_params"]
        if slot.frozen:
            raise Refused("this model is frozen: it takes no step")
        if slot.dropped:
            raise Refused(slot.dropped)
        params = [p for group in slot.optimizer.param_groups for p in group["params"]]
        clip = adam.get("grad_clip_norm") or math.inf
        norm = whole(torch.nn.utils.clip_grad_norm_(params, clip)).item()
        finite = math.isfinite(norm)
        for group in slot.optimizer.param_groups:
            group.update(lr=adam["learning_rate"], betas=(adam["beta1"], adam["beta2"]), eps=adam["eps"],
                         weight_decay=adam.get("weight_decay", 0.0) if group["decays"] else 0.0)
        if finite:
            slot.optimizer.step()
            slot.steps += 1
        slot.drop_gradients()
        # JSON has no word for a norm that is not finite.
        return {"metrics": {"grad_norm": norm if finite else None, "skipped": 0.0 if finite else 1.0,
                            "steps": slot.steps, "learning_rate": adam["learning_rate"]}, "type": "optim_step"}

    def zero_grad(self, q):
        """Not part of Tinker's protocol: drops what was accumulated since the last step."""
        slot = self.slot(q)
        slot.drop_gradients()
        slot.dropped = None
        return {"type": "zero_grad"}

    # -- states and exports ---------------------------------------------------------------------

    def state(self, slot, optimizer):
        """Everything that a resumed model needs, as one flat table that DCP reads in place."""
        table = {}
        for name, p in slot.parameters().items():
            table[name] = p.data
            if optimizer:
                held = slot.optimizer.state.setdefault(p, {})
                for key, make in (("exp_avg", torch.zeros_like), ("exp_avg_sq", torch.zeros_like)):
                    table[f"{key}.{name}"] = held.setdefault(key, make(p.data))
                held.setdefault("step", torch.tensor(0.0))
        return table

    def about(self):
        lora = self.lora and {"rank": self.lora.r, "alpha": self.lora.lora_alpha,
                              "target_modules": sorted(self.lora.target_modules)}
        return {"base_model": self.options.model, "model_type": self.config.model_type, "lora": lora}

    def folder(self, model, kind, name):
        return os.path.join(self.options.checkpoints, model, kind, name)

    def write(self, final, fill):
        """A folder that appears whole or not at all; `fill` runs on every process."""
        if self.told_by_first(lambda: os.path.exists(final)):
            raise Refused(f"`{final}` is there already; states are never written over")
        part = final + ".part"
        if self.rank == 0:
            shutil.rmtree(part, ignore_errors=True)
            os.makedirs(part)
        dist.barrier(group=self.control)
        fill(part)
        dist.barrier(group=self.control)
        if self.rank == 0:
            os.rename(part, final)
        dist.barrier(group=self.control)

    def told_by_first(self, ask):
        """What process 0 finds, known to all: the others may see other disks."""
        box = [ask() if self.rank == 0 else None]
        dist.broadcast_object_list(box, 0, group=self.control)
        return box[0]

    def save_weights(self, q):
        slot = self.slot(q)
        if slot.frozen:
            raise Refused("this model is frozen: what it was loaded from is its state")

        def fill(part):
            dcp.save(self.state(slot, optimizer=True), checkpoint_id=part, process_group=self.control)
            if self.rank == 0:
                about = self.about() | {"steps": slot.steps, "world": self.world, "torch": torch.__version__}
                write_json(os.path.join(part, "about.json"), about)

        self.write(self.folder(q["model_id"], "weights", q["path"]), fill)
        return {"path": f"tinker://{q['model_id']}/weights/{q['path']}", "type": "save_weights"}

    def load_weights(self, q):
        slot, (model, name) = self.slot(q), q["source"]
        folder = self.folder(model, "weights", name)
        about = self.told_by_first(lambda: read_json(os.path.join(folder, "about.json")))
        if about is None:
            raise Refused(f"no state at `{q['path']}`: `{folder}` has no about.json")
        for key, here in self.about().items():
            if key != "base_model" and about[key] != here:
                raise Refused(f"`{q['path']}` has {key} {about[key]}; this worker has {here}")
        if self.lora and slot.adapter is None:
            self.take_adapter(slot, 0)
        optimizer = bool(q.get("optimizer", True)) and not slot.frozen
        if not slot.frozen:
            slot.fresh_optimizer()
        table = self.state(slot, optimizer)
        with torch.no_grad():
            dcp.load(table, checkpoint_id=folder, process_group=self.control)
        if optimizer:
            slot.steps = about["steps"]
            for held in slot.optimizer.state.values():
                held["step"].fill_(slot.steps)
        slot.drop_gradients()
        slot.dropped = None
        slot.exported = {}
        return {"path": q["path"], "steps": slot.steps, "type": "load_weights"}

    def save_weights_for_sampler(self, q):
        slot = self.slot(q)
        final = self.folder(q["model_id"], "sampler_weights", q["path"])
        self.write(final, lambda part: self.export(slot, part))
        slot.exported[q["path"]] = slot.steps
        return {"path": f"tinker://{q['model_id']}/sampler_weights/{q['path']}", "dir": os.path.abspath(final),
                "type": "save_weights_for_sampler"}

    def export(self, slot, part):
        """A PEFT adapter, or a model in Hugging Face layout with the base's tokenizer."""
        tensors = {}
        for name, p in slot.parameters().items():
            value = whole(p.data)  # a collective: all processes take part, the first one writes
            if self.rank == 0:
                tensors[name] = value.to("cpu", torch.float32 if self.lora else self.dtype).contiguous()
        if self.rank != 0:
            return
        if self.lora:
            save_file(tensors, os.path.join(part, "adapter_model.safetensors"), {"format": "pt"})
            config = peft.LoraConfig(**{**self.lora.to_dict(), "base_model_name_or_path": self.options.model,
                                        "inference_mode": True})
            config.target_modules = sorted(self.lora.target_modules)
            config.save_pretrained(part)
            return
        slot.scorer.net.save_pretrained(part, state_dict=tensors)
        for name in os.listdir(self.options.model):
            if name.startswith(TOKENIZER_FILES) and not os.path.exists(os.path.join(part, name)):
                shutil.copy(os.path.join(self.options.model, name), part)

    # -- sampling -------------------------------------------------------------------------------

    @torch.no_grad()
    def asample(self, q):
        """For tests: every token is a pass over the whole text. A real run samples with vLLM."""
        slot, how = self.sampled_slot(q), q["sampling_params"]
        self.activate(slot)
        texts = [list(q["tokens"]) for _ in range(q["num_samples"])]
        draws = [torch.Generator().manual_seed(how["seed"] + i) for i in range(len(texts))]
        found = [{"tokens": [], "logprobs": [], "stop_reason": "length"} for _ in texts]
        for _ in range(how["max_tokens"]):
            going = [i for i, it in enumerate(found) if it["stop_reason"] == "length"]
            if not going:
                break
            for i in going:
                token, lp = self.next_token(slot, texts[i], how["temperature"], draws[i])
                texts[i].append(token)
                found[i]["tokens"].append(token)
                found[i]["logprobs"].append(lp)
                if token in how.get("stop", ()):
                    found[i]["stop_reason"] = "stop"
        slot.scorer.reshard()
        return {"sequences": found, "prompt_logprobs": None, "type": "sample"}

    def next_token(self, slot, text, temperature, draws):
        ids = torch.tensor([text], device=self.device)
        lp = slot.scorer(ids, None, temperature or 1.0).cpu()
        pick = lp.argmax() if temperature == 0 else torch.multinomial(lp.exp(), 1, generator=draws)[0]
        token = self.told_by_first(lambda: int(pick))
        return token, lp[token].item()

    def sampled_slot(self, q):
        if not q.get("source"):
            if self.lora is None:
                raise Refused("this worker trains full weights and does not keep the base model to sample from")
            return Slot(self.shared, None, True)
        model, name = q["source"]
        slot = self.slots.get(model)
        if slot is None or slot.exported.get(name) != slot.steps:
            raise Refused(f"`{q['model_path']}` is not what model `{model}` holds now; sample what was just saved")
        return slot


def losses(loss_fn, lp, datum, device):
    """Loss of each token; the loss of a request is their plain sum."""
    value = lambda name: torch.tensor(datum[name], dtype=torch.float32, device=device)
    if loss_fn == "cross_entropy":
        return -lp * value("weights")
    return -torch.exp(lp - value("logprobs")) * value("advantages")


def padded(data, device):
    width = max(len(it["targets"]) for it in data)
    fill = lambda rows: torch.tensor([row + [0] * (width - len(row)) for row in rows], device=device)
    # What stands behind the end is seen by no token before it, so no mask is needed.
    return fill([it["tokens"] for it in data]), fill([it["targets"] for it in data])


def plain_head(net):
    """Whether logits are the head's output alone; models that scale or cap them run whole."""
    ids = torch.arange(4)[None] % net.config.get_text_config().vocab_size
    try:
        with torch.no_grad():
            hidden = net.base_model(input_ids=ids, use_cache=False).last_hidden_state
            return torch.equal(net.get_output_embeddings()(hidden), net(input_ids=ids, use_cache=False).logits)
    except (AttributeError, TypeError):
        return False


def layers_of(net):
    return [m for m in net.modules() if isinstance(m, GradientCheckpointingLayer)]


def recompute(net):
    """Layers run again on the way back. Only the layers are set to training, their parts are not:
    dropout stays off."""
    if net.supports_gradient_checkpointing:
        net.activation_checkpointing_enable({"use_reentrant": False})
        for layer in layers_of(net):
            layer.training = True


def whole(tensor):
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def write_json(path, value):
    with open(path, "w") as file:
        json.dump(value, file, indent=1, sort_keys=True)


def read_json(path):
    if not os.path.isfile(path):
        return None
    with open(path) as file:
        return json.load(file)
