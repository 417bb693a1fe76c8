"""Measures what is promised of packing and prints it as a table: `./dev bench packing --help`."""

import argparse
import datetime
import json
import os
import pathlib
import platform
import resource
import subprocess
import sys
import time

from figures import PROTOCOLS
from programs import FIRST_SEED, ROOT, TARGET, Failed

KEPT = TARGET / "bench" / "packing.json"


def main():
    arguments = parse()
    chosen = [name for name in PROTOCOLS if arguments.only.lower() in name.lower()]
    if not chosen:
        sys.exit(f"no protocol has `{arguments.only}` in its name: {', '.join(PROTOCOLS)}")
    where = machine()
    kept = load(where, arguments) if arguments.resume else {}
    results = {}
    for name in chosen:
        if name in kept and not kept[name].get("error"):
            results[name] = kept[name]
            continue
        say(f"{name} ...")
        results[name] = run(name, range(FIRST_SEED, FIRST_SEED + arguments.seeds))
        say(f"{name}: {results[name]['cpu_seconds']:.1f} CPU s")
        save(KEPT, where, arguments, {**kept, **results})
    print(table(where, arguments.seeds, results))
    if arguments.json:
        save(pathlib.Path(arguments.json), where, arguments, results)
    sys.exit(int(any(missed(result) for result in results.values())))


def parse():
    parser = argparse.ArgumentParser(prog="./dev bench packing", description=__doc__.split(":")[0])
    parser.add_argument("--seeds", type=int, default=10, choices=range(1, 11), metavar="N",
                        help="published orders of arrival per trace, 1 to 10 (default 10)")  # fmt: skip
    parser.add_argument("--only", default="", metavar="PROTOCOL",
                        help=f"those with this in their name, of: {', '.join(PROTOCOLS)}")  # fmt: skip
    parser.add_argument("--json", metavar="FILE", help="also write the figures there")
    parser.add_argument("--resume", action="store_true",
                        help="keep what was measured at this commit before")  # fmt: skip
    return parser.parse_args()


def run(name, seeds):
    """One protocol: its figures as plain data, or why there are none."""
    before, began = cpu_seconds(), time.monotonic()
    figures, error = [], None
    try:
        for figure in PROTOCOLS[name](seeds):
            figures.append({**vars(figure), "met": figure.verdict()})
    except (Failed, ValueError, KeyError, OSError, ZeroDivisionError) as failure:
        error = f"{type(failure).__name__}: {failure}"
        say(f"{name}: {error}")
    return {
        "figures": figures,
        "error": error,
        "cpu_seconds": cpu_seconds() - before,
        "wall_seconds": time.monotonic() - began,
    }


def missed(result):
    return result["error"] or any(figure["met"] == "NO" for figure in result["figures"])


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def machine():
    """What a number means nothing without."""
    git = lambda *words: subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True)
    changed = git("status", "--porcelain", "--untracked-files=no").stdout.strip()
    return {
        "commit": git("rev-parse", "--short=10", "HEAD").stdout.strip() + ("+" if changed else ""),
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        # Figures by the clock mean little on a busy machine; CPU seconds do.
        "load": round(os.getloadavg()[0], 1),
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d"),
    }


def cpu_model():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def table(where, seeds, results):
    lines = [
        f"{where['cpu']}, {where['cores']} cores, load {where['load']}; commit {where['commit']}; {where['date']}; "
        f"P2 over {seeds} seeds from {FIRST_SEED}",
        "",
        "| protocol | figure | published | must | aim | measured | met | CPU s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, result in results.items():
        cost = f"{result['cpu_seconds']:.1f}"
        for row in result["figures"]:
            promises = [row["published"], promise(row["must"]), promise(row["aim"])]
            value = f"{row['value']:.{row['digits']}f}"
            cells = [name, row["what"], *promises, value, row["met"], cost]
            lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
            cost = ""
        if result["error"]:
            lines.append(f"| {name} | failed: {result['error']} | | | | | NO | {cost} |")
    return "\n".join(lines)


def promise(pair):
    return f"{pair[0]} {pair[1]:g}" if pair else "-"


def save(path, where, arguments, results):
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"machine": where, "seeds": arguments.seeds, "protocols": results}
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def load(where, arguments):
    """What was measured at this commit with as many seeds, protocol by protocol."""
    if not KEPT.exists():
        return {}
    kept = json.loads(KEPT.read_text())
    same = kept["machine"]["commit"] == where["commit"] and kept["seeds"] == arguments.seeds
    return kept["protocols"] if same else {}


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


main()
