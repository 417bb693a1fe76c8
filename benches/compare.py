"""Compares the small benchmarks of this tree with those of the commit it is based on, on this machine.

Runs of the two alternate (here, base, base, here, ...), so that a machine that slows down slows both.
A benchmark fails when every pair of runs is worse by more than a quarter; one that gives other
counts fails unless CHANGELOG.md says something new. What cannot be compared is said and passes.
"""

import json
import os
import pathlib
import re
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
TREE = TARGET / "base-tree"
BENCHES = ["engine", "packing"]
SMALL = "/(20|100)_nodes"
WORSE = 1.25
PAIRS = 3
# The base is built while everybody waits; a change is not worth more.
BUILD_SECONDS = int(os.environ.get("DOVETAIL_BASE_SECONDS", "240"))
RUN_SECONDS = 120
UNITS = {"ns": 1, "µs": 1e3, "us": 1e3, "ms": 1e6, "s": 1e9}


def main():
    base = sys.argv[1] if len(sys.argv) > 1 else find_base()
    if base is None:
        return skip("this tree has no commit before it")
    say(f"base is {git('log', '-1', '--format=%h %s', base)}")
    here = build(ROOT, None)
    try:
        there = build_base(base)
    finally:
        subprocess.run(["git", "worktree", "remove", "--force", TREE], cwd=ROOT, capture_output=True)
    if there is None:
        # They run all the same: what they assert has to hold.
        return show_alone(run(here))
    samples = {"here": [], "base": []}
    for pair in range(PAIRS):
        both = [("here", here), ("base", there)]
        for name, programs in both if pair % 2 == 0 else both[::-1]:
            samples[name].append(run(programs))
            say(f"pair {pair + 1} of {PAIRS}: {name}")
    times_worse = compare_times(samples)
    counts_differ = compare_counts(samples)
    sys.exit(int(times_worse or (counts_differ and not changelog_changed(base))))


def find_base():
    """Where this branch left the main one; the commit before on the main one itself."""
    head = git("rev-parse", "HEAD")
    for name in ["origin/main", "HEAD~1"]:
        base = git("merge-base", name, "HEAD")
        if base and base != head:
            return base
    return None


def build_base(base):
    git("worktree", "prune")
    if subprocess.run(["git", "worktree", "add", "--force", "--detach", TREE, base], cwd=ROOT,
                      capture_output=True).returncode != 0:  # fmt: skip
        return skip("the base cannot be checked out")
    try:
        return build(TREE, BUILD_SECONDS)
    except subprocess.TimeoutExpired:
        return skip(f"the base was not built within {BUILD_SECONDS} s")
    except subprocess.CalledProcessError:
        return skip("the base does not build, or has none of these benchmarks")


def build(tree, limit):
    """The benchmarks as programs; both trees share what does not differ, HiGHS above all."""
    there = [name for name in BENCHES if (tree / f"benches/{name}.rs").exists()]
    command = ["cargo", "bench", "--no-run", "--locked", "--profile", "dev"]
    command += [word for name in there for word in ("--bench", name)]
    done = subprocess.run(
        [*command, "--message-format", "json-render-diagnostics"],
        cwd=tree, env={**os.environ, "CARGO_TARGET_DIR": str(TARGET)},
        stdout=subprocess.PIPE, timeout=limit, check=True, text=True,
    )  # fmt: skip
    messages = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return [m["executable"] for m in messages if m.get("executable") and "bench" in m["target"]["kind"]]


def run(programs):
    """Nanoseconds and counts by benchmark."""
    folder = TARGET / "compare"
    folder.mkdir(exist_ok=True)
    times, counts = {}, {}
    for program in programs:
        text = subprocess.run(
            [program, "--bench", "--quick", "--noplot", SMALL],
            cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            check=True, text=True, timeout=RUN_SECONDS,
        ).stdout  # fmt: skip
        for name, value, unit in re.findall(r"^(\S+/\S+)\s+time:\s+\[\S+ \S+ (\S+) (\S+) ", text, re.M):
            times[name] = float(value) * UNITS[unit]
        counts.update(re.findall(r"^counts: (\S+) (.*)$", text, re.M))
    if not times:
        sys.exit("compare: no benchmark ran")
    return {"times": times, "counts": counts}


def show_alone(sample):
    for name, time in sorted(sample["times"].items()):
        print(f"{name:40} {time / 1000:9.1f} µs")


def compare_times(samples):
    worse = False
    print(f"{'benchmark':40} {'base':>12} {'here':>12}  ratio of each pair")
    for name in sorted(samples["here"][0]["times"]):
        pairs = [
            (here["times"][name], base["times"][name])
            for here, base in zip(samples["here"], samples["base"])
            if name in base["times"]
        ]
        if not pairs:
            print(f"{name:40} {'new':>12}")
            continue
        ratios = [here / base for here, base in pairs]
        bad = all(ratio > WORSE for ratio in ratios)
        worse |= bad
        here, base = (statistics.median(column) for column in zip(*pairs))
        shown = " ".join(f"{ratio:.2f}" for ratio in ratios)
        print(f"{name:40} {base / 1000:9.1f} µs {here / 1000:9.1f} µs  {shown}{'  WORSE' if bad else ''}")
    return worse


def compare_counts(samples):
    here, base = samples["here"][0]["counts"], samples["base"][0]["counts"]
    different = [name for name in sorted(here) if name in base and here[name] != base[name]]
    for name in different:
        print(f"{name} counts differ:\n  base {base[name]}\n  here {here[name]}")
    return bool(different)


def changelog_changed(base):
    command = ["git", "diff", "--quiet", base, "--", "CHANGELOG.md"]
    changed = subprocess.run(command, cwd=ROOT).returncode != 0
    if not changed:
        print("other counts need a line in CHANGELOG.md that says why")
    return changed


def git(*words):
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else ""


def skip(why):
    print(f"compare: skipped: {why}")


def say(text):
    print(f"compare: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
