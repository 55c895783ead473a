"""What a request may be: checked in process 0 before any other process sees it.

A request that passes is a plain dictionary in which every token id lies in the vocabulary, every
number is finite and every list has the length it should have; `Bad` says which field does not.
"""
import collections
import json
import math
import re

DATUMS = 1024  # of one request, as in Tinker's SDK
INPUTS = {"cross_entropy": ["weights"], "importance_sampling": ["logprobs", "advantages"]}
SAMPLED_TOKENS = 4096

Limits = collections.namedtuple("Limits", "bytes vocab tokens model")


class Bad(Exception):
    """An answer with a status of HTTP that says what is wrong with a request."""

    def __init__(self, status, detail):
        super().__init__(detail)
        self.status, self.detail = status, detail


def body(headers, stream, limits):
    length = headers.get("Content-Length") or ""
    if not length.isascii() or not length.isdigit():
        raise Bad(411, "a request needs `Content-Length`")
    if int(length[:20]) > limits.bytes:
        raise Bad(413, f"the request has {length[:20]} bytes; at most {limits.bytes} are taken (--max-request-bytes)")
    raw = stream.read(int(length))
    if len(raw) < int(length):
        raise ConnectionError("the request ended in the middle")
    try:
        value = json.loads(raw, parse_constant=lambda word: float("nan"))
    except (ValueError, RecursionError) as error:
        raise Bad(400, f"the body is not JSON: {str(error)[:200]}") from None
    if not isinstance(value, dict):
        raise Bad(422, "the body is not a JSON object")
    return value


def job(op, q, limits):
    """The request as the trainer takes it."""
    job = {}
    if op == "create_model":
        text(q, "session_id"), integer(q, "model_seq_id", 0, 1 << 53)
        text(q, "base_model", 4096)
        if q["base_model"] != limits.model:
            raise Bad(400, f"base_model: found `{q['base_model'][:200]}`; this worker serves `{limits.model}`")
        return {"lora_config": lora_config(q.get("lora_config")), "frozen": q.get("frozen") is True}
    if op == "asample":
        return sample(q, limits)
    job["model_id"] = text(q, "model_id")
    if q.get("seq_id") is not None:
        integer(q, "seq_id", 0, 1 << 53)
    if op in ("forward", "forward_backward"):
        job[f"{op}_input"] = forward_input(need(q, f"{op}_input", dict), f"{op}_input", limits)
    elif op == "optim_step":
        job["adam_params"] = adam(need(q, "adam_params", dict))
    elif op in ("save_weights", "save_weights_for_sampler"):
        job["path"] = name(text(q, "path"), "path")
    elif op == "load_weights":
        job["path"], job["optimizer"] = text(q, "path"), q.get("optimizer", True) is not False
        job["source"] = tinker_path(job["path"], "weights")
    return job


def lora_config(given):
    if given is None:
        return None
    if not isinstance(given, dict):
        raise Bad(422, "lora_config: an object is wanted")
    out = {"rank": integer(given, "rank", 0, 4096, "lora_config.")}
    if given.get("seed") is not None:
        out["seed"] = integer(given, "seed", 0, (1 << 63) - 1, "lora_config.")
    if given.get("alpha") is not None:
        out["alpha"] = number(given["alpha"], "lora_config.alpha")
    return out


def forward_input(given, at, limits):
    loss_fn = given.get("loss_fn")
    if loss_fn not in INPUTS:
        raise Bad(422, f"{at}.loss_fn: found {short(loss_fn)}; known are {', '.join(INPUTS)}")
    data = need(given, "data", list, at + ".")
    if not 1 <= len(data) <= DATUMS:
        raise Bad(422, f"{at}.data: found {len(data)} datums; 1 to {DATUMS} are taken")
    config = given.get("loss_fn_config") or {}
    temperature = number(config.get("temperature", 1.0) if isinstance(config, dict) else None, f"{at}.loss_fn_config.temperature")
    if not 1e-3 <= temperature <= 1e3:
        raise Bad(422, f"{at}.loss_fn_config.temperature: found {temperature}; 0.001 to 1000 are taken")
    return {"loss_fn": loss_fn, "loss_fn_config": {"temperature": temperature},
            "data": [datum(it, f"data[{i}]", INPUTS[loss_fn], limits) for i, it in enumerate(data)]}


def datum(given, at, inputs, limits):
    if not isinstance(given, dict):
        raise Bad(422, f"{at}: an object is wanted, found {short(given)}")
    tokens = chunks(need(given, "model_input", dict, at + "."), f"{at}.model_input", limits)
    fields = need(given, "loss_fn_inputs", dict, at + ".")
    row = {"tokens": tokens, "targets": ids(values(fields, "target_tokens", at, len(tokens)), f"{at}.target_tokens", limits)}
    for name in inputs:
        row[name] = [number(x, f"{at}.{name}[{i}]") for i, x in enumerate(values(fields, name, at, len(tokens)))]
    return row


def chunks(given, at, limits):
    tokens = []
    for i, chunk in enumerate(need(given, "chunks", list, at + ".")):
        if not isinstance(chunk, dict) or not isinstance(chunk.get("tokens"), list):
            raise Bad(422, f"{at}.chunks[{i}]: a chunk of `tokens` is wanted, found {short(chunk)}")
        tokens += chunk["tokens"]
    if not 1 <= len(tokens) <= limits.tokens:
        raise Bad(422, f"{at}: found {len(tokens)} tokens; 1 to {limits.tokens} are taken (the model's context, --micro-tokens)")
    return ids(tokens, at, limits)


def ids(given, at, limits):
    for i, x in enumerate(given):
        if type(x) is not int or not 0 <= x < limits.vocab:
            raise Bad(422, f"{at}[{i}]: found {short(x)}; a token id below {limits.vocab} is wanted")
    return given


def values(fields, name, at, count):
    given = fields.get(name)
    given = given.get("data") if isinstance(given, dict) else given
    if not isinstance(given, list) or len(given) != count:
        found = f"{len(given)} values" if isinstance(given, list) else short(given)
        raise Bad(422, f"{at}.loss_fn_inputs.{name}: found {found}; one for each of {count} tokens is wanted")
    return given


def adam(given):
    bounds = {"learning_rate": (0, 1e6), "beta1": (0, 0.999999), "beta2": (0, 0.9999999), "eps": (1e-30, 1e9),
              "weight_decay": (0, 100), "grad_clip_norm": (0, 1e30)}
    defaults = {"beta1": 0.9, "beta2": 0.95, "eps": 1e-12, "weight_decay": 0.0, "grad_clip_norm": 0.0}
    out = {}
    for key, (least, most) in bounds.items():
        out[key] = number(given.get(key, defaults.get(key)), f"adam_params.{key}")
        if not least <= out[key] <= most:
            raise Bad(422, f"adam_params.{key}: found {out[key]}; {least} to {most} are taken")
    return out


def sample(q, limits):
    how = need(q, "sampling_params", dict)
    count, most = integer(q, "num_samples", 1, 64), integer(how, "max_tokens", 1, SAMPLED_TOKENS, "sampling_params.")
    if count * most > SAMPLED_TOKENS:
        raise Bad(422, f"{count} samples of {most} tokens: at most {SAMPLED_TOKENS} tokens are sampled here; use an inference server")
    if how.get("top_k", -1) not in (-1, 0) or how.get("top_p", 1) != 1 or q.get("prompt_logprobs"):
        raise Bad(422, "sampling here knows no top_k, top_p and prompt_logprobs; use an inference server")
    tokens = chunks(need(q, "prompt", dict), "prompt", limits)
    if len(tokens) + most > limits.tokens:
        raise Bad(422, f"a prompt of {len(tokens)} tokens and {most} more exceed {limits.tokens}")
    temperature = number(how.get("temperature", 1.0), "sampling_params.temperature")
    if not 0 <= temperature <= 100:
        raise Bad(422, f"sampling_params.temperature: found {temperature}; 0 to 100 are taken")
    params = {"max_tokens": most, "temperature": temperature, "seed": integer(how, "seed", 0, 1 << 62, "sampling_params."),
              "stop": ids(how.get("stop") or [], "sampling_params.stop", limits)}
    path = q.get("model_path")
    return {"num_samples": count, "tokens": tokens, "sampling_params": params, "model_path": path,
            "source": tinker_path(path, "sampler_weights") if path is not None else None}


def tinker_path(path, kind):
    parts = path.removeprefix("tinker://").split("/") if isinstance(path, str) else []
    if len(parts) != 3 or parts[1] != kind:
        raise Bad(422, f"path: found {short(path)}; tinker://MODEL/{kind}/NAME is wanted")
    return name(parts[0], "path"), name(parts[2], "path")


def name(given, field):
    """A name that becomes a folder: nothing in it can lead elsewhere."""
    if not isinstance(given, str) or not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,127}", given):
        raise Bad(422, f"{field}: found {short(given)}; letters, digits, `_` and `-` are wanted, 128 at most")
    return given


def need(q, field, kind, at=""):
    if not isinstance(q.get(field), kind):
        raise Bad(422, f"{at}{field}: found {short(q.get(field))}; {'an object' if kind is dict else 'a list'} is wanted")
    return q[field]


def text(q, field, most=256):
    if not isinstance(q.get(field), str) or not 0 < len(q[field]) <= most:
        raise Bad(422, f"{field}: found {short(q.get(field))}; a text is wanted")
    return q[field]


def integer(q, field, least, most, at=""):
    value = q.get(field)
    if type(value) is not int or not least <= value <= most:
        raise Bad(422, f"{at}{field}: found {short(value)}; a whole number from {least} to {most} is wanted")
    return value


def number(value, at):
    if type(value) not in (int, float) or not math.isfinite(value) or abs(value) > 3e38:
        raise Bad(422, f"{at}: found {short(value)}; a finite number is wanted")
    return float(value)


def short(value):
    return "nothing" if value is None else repr(value)[:80]
