"""Runs the product's own programs and says what they printed and what they cost."""

import json
import os
import pathlib
import struct
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
DEBUG = TARGET / "debug"
FIRST_SEED = 42
# A program that takes longer hangs: the longest takes some minutes.
LIMIT_SECONDS = 3600


class Failed(Exception):
    """A program did not end well; the text says which and why."""


class Run:
    """A program that has ended: what it printed, its CPU seconds and its most memory."""

    def __init__(self, command, environment=None):
        command = [str(word) for word in command]
        process = subprocess.Popen(
            ["timeout", str(LIMIT_SECONDS), *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **(environment or {})},
            cwd=ROOT,
        )
        # Errors are read first from a file descriptor of their own: neither pipe can fill up.
        out, errors = process.communicate()
        self.text = out.decode()
        if process.returncode != 0:
            last = (errors.decode().strip() or self.text.strip()).splitlines()[-1:]
            raise Failed(f"`{' '.join(command)}` ended with {process.returncode}: {''.join(last)}")

    def lines(self):
        return [json.loads(line) for line in self.text.splitlines() if line.startswith("{")]


def measured(command):
    """Runs a program alone and measures it from outside: its text, CPU seconds and peak bytes."""
    reader = (
        "import resource, subprocess, sys;"
        "done = subprocess.run(sys.argv[1:], capture_output=True);"
        "usage = resource.getrusage(resource.RUSAGE_CHILDREN);"
        "print(usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024);"
        "sys.exit(done.returncode)"
    )
    words = Run([sys.executable, "-c", reader, *command]).text.split()
    return float(words[0]), int(words[1])


def data():
    """The folder of traces and instances."""
    folder = os.environ.get("DOVETAIL_DATA")
    if not folder:
        raise Failed("DOVETAIL_DATA is not set: it names the folder of traces and instances")
    return pathlib.Path(folder)


class Trace:
    """A published trace by its name."""

    def __init__(self, name):
        folder = data() / "openb"
        self.name = name
        self.nodes = folder / "openb_node_list_gpu_node.csv"
        self.pods = folder / f"openb_pod_list_{name}.csv"
        self.orders = folder / f"order_{name}.u16"
        self.ranks = folder / f"perm_{name}.u16"

    def replay(self, seed, *arguments, ranks=None):
        """The runs of one replay, by policy."""
        command = self.command(seed, *arguments, ranks=ranks)
        answer = json.loads(Run(command).text)
        return {run["policy"]: run for run in answer.get("runs", [answer])}

    def command(self, seed, *arguments, ranks=None):
        return [
            DEBUG / "dovetail", "replay", "--nodes", self.nodes, "--pods", self.pods,
            "--arrivals", self.orders, "--node-rank", ranks or self.ranks,
            "--seed", seed, "-o", "json", *arguments,
        ]  # fmt: skip

    def arrivals(self, seed):
        """Classes of the pods in the order in which they arrive."""
        classes = [pod_class(row) for row in sorted(rows(self.pods), key=lambda row: row["name"])]
        content = self.orders.read_bytes()
        at = 0
        for _ in range(FIRST_SEED, seed):
            at += 4 + 2 * struct.unpack_from("<I", content, at)[0]
        (count,) = struct.unpack_from("<I", content, at)
        return [classes[index] for index in struct.unpack_from(f"<{count}H", content, at + 4)]

    def node_ranks(self):
        """The ten published orders of the nodes."""
        numbers = self.ranks.read_bytes()
        size = len(numbers) // 10
        return [numbers[at : at + size] for at in range(0, len(numbers), size)]


def rows(path):
    """The rows of a CSV by column; no field of these has a comma in it."""
    lines = path.read_text().splitlines()
    names = lines[0].split(",")
    return [dict(zip(names, line.split(","))) for line in lines[1:]]


def pod_class(row):
    """A pod as failures are counted."""
    count = int(row["num_gpu"])
    if count == 0:
        return "cpu_only"
    return "share" if count == 1 and int(row["gpu_milli"]) < 1000 else f"gpu{count}"
