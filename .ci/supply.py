"""What `deny.toml` says of licences, sources and banned crates, for machines without cargo-deny.

    cargo metadata --locked --all-features --format-version 1 | python3 .ci/supply.py deny.toml

Reads the licences that crates declare, not their texts; advisories and duplicates are left to cargo-deny. Needs Python
3.11 alone.
"""
import json
import re
import sys
import tomllib

with open(sys.argv[1], "rb") as file:
    rules = tomllib.load(file)
metadata = json.load(sys.stdin)
allowed = set(rules["licenses"]["allow"])
exceptions = {it["crate"]: set(it["allow"]) for it in rules["licenses"].get("exceptions", [])}
clarified = {it["crate"]: it["expression"] for it in rules["licenses"].get("clarify", [])}
banned = {it["crate"]: it["reason"] for it in rules["bans"]["deny"]}
REGISTRY = "registry+https://github.com/rust-lang/crates.io-index"


def holds(expression, allowed):
    """Whether an SPDX expression is met by these licences."""
    # `MIT/Apache-2.0` is how crates wrote `OR` before SPDX.
    tokens = re.findall(r"\(|\)|[^\s()]+(?:\s+WITH\s+[^\s()]+)?", expression.replace("/", " OR "))

    def any_of():
        value = all_of()
        while tokens and tokens[0] == "OR":
            tokens.pop(0)
            value = all_of() or value
        return value

    def all_of():
        value = one()
        while tokens and tokens[0] == "AND":
            tokens.pop(0)
            value = one() and value
        return value

    def one():
        token = tokens.pop(0)
        if token != "(":
            return re.sub(r"\s+", " ", token) in allowed
        value = any_of()
        tokens.pop(0)
        return value

    return any_of()


assert holds("(MIT OR GPL-3.0) AND Zlib", {"MIT", "Zlib"}) and not holds("MIT AND GPL-3.0", {"MIT"})
assert holds("Apache-2.0 WITH LLVM-exception OR X", {"Apache-2.0 WITH LLVM-exception"}) and holds("X/MIT", {"MIT"})
wrong = []
own = set(metadata["workspace_members"])
for package in metadata["packages"]:
    name = f"{package['name']} {package['version']}"
    if package["id"] in own:
        continue
    if package["source"] != REGISTRY:
        wrong.append(f"{name}: its source is {package['source']}; expected crates.io")
    if package["name"] in banned:
        wrong.append(f"{name}: banned: {banned[package['name']]}")
    licence = clarified.get(package["name"]) or package["license"]
    if not licence:
        wrong.append(f"{name}: declares no licence")
    elif not holds(licence, allowed | exceptions.get(package["name"], set())):
        wrong.append(f"{name}: `{licence}` is not among the allowed licences")
print("\n".join(wrong))
print(f"{len(metadata['packages']) - len(own)} crates, {len(wrong)} that will not do")
sys.exit(bool(wrong))
