"""What is promised of packing, figure by figure, and how each is measured."""

import pathlib
import tempfile

from programs import DEBUG, FIRST_SEED, Run, Trace, data, measured, rows

# Must and aim at 100 % and at the first refusal, and what was published, by trace.
ONLINE = {
    "default": (95.23, 96.05, 96.3),
    "gpushare40": (93.96, 94.6, 94.9),
    "gpuspec10": (94.66, 95.6, 96.0),
    "cpu100": (95.21, 96.05, 96.3),
    "multigpu20": (95.53, 96.5, 96.8),
}
CHURN_SEEDS = [42, 43, 44]
PROTECTED = ["cpu_only", "gpu8"]


class Figure:
    """A measured number beside what is promised of it."""

    def __init__(self, what, value, must=None, aim=None, published="-", digits=2):
        self.what, self.value, self.must, self.aim = what, value, must, aim
        self.published, self.digits = published, digits

    def meets(self, promise):
        sign, limit = promise
        return self.value >= limit if sign == ">=" else self.value <= limit

    def verdict(self):
        if self.must is None or self.value is None:
            return "-"
        if self.aim is not None and self.meets(self.aim):
            return "aim"
        return "yes" if self.meets(self.must) else "NO"


def mean(numbers):
    numbers = list(numbers)
    return sum(numbers) / len(numbers)


def least(number):
    return (">=", number)


def most(number):
    return ("<=", number)


def published_baselines(_seeds):
    """P1: the product's own test against the published curves."""
    command = ["cargo", "test", "--locked", "-p", "dovetail-cluster-tests", "-p", "dovetail-replay"]
    command += ["--test", "published", "--", "--nocapture"]
    text = Run(command, {"DOVETAIL_REPLAY_ALL": "1"}).text
    worst = [int(part.split(",")[0]) for part in text.split("worst_hundredths: ")[1:]]
    if not worst:
        raise ValueError("the test compared nothing")
    what = f"worst of {len(worst)} curves against the published, points"
    yield Figure(what, max(worst) / 100, most(0.01), most(0.0), "0")


def online(name):
    """P2: one trace, one pod at a time, over the published orders."""

    def figures(seeds):
        trace, (published, must, aim) = Trace(name), ONLINE[name]
        runs = [trace.replay(seed)["dovetail"] for seed in seeds]
        at = lambda percent: mean(run["allocated_gpu_percent"][percent] for run in runs)
        yield Figure("allocated % at 100 %", at("100"), least(must), least(aim), published)
        first = mean(run["first_refusal_percent"] for run in runs)
        promised = (least(95.7), least(96.2), "94.1") if name == "default" else (None, None, "-")
        yield Figure("first refusal %", first, *promised)
        yield Figure("allocated % at 130 %", at("130"))
        yield from failures(trace, seeds, runs)

    return figures


def failures(trace, seeds, runs):
    """Refusals by class beside FGD's, and the rule that protects two classes."""
    arrived = [trace.arrivals(seed)[: run["arrived"]] for seed, run in zip(seeds, runs)]
    for kind in ["cpu_only", "share", "gpu1", "gpu2", "gpu4", "gpu8"]:
        ours = mean(run["failed"][kind] for run in runs)
        theirs = mean(run["failed_fgd"][kind] for run in runs)
        yield Figure(f"refused {kind}", ours, published=f"FGD {theirs:.1f}", digits=1)
        if kind in PROTECTED:
            came = mean(order.count(kind) for order in arrived)
            more = 100 * (ours - theirs) / came if came else 0.0
            yield Figure(f"refused {kind} beyond FGD's, % of arrivals", more, most(1.0))


def node_orders(_seeds):
    """P2 again: one order of arrivals over ten drawn orders of nodes, and over sorted ones."""
    trace = Trace("default")
    drawn = dict(zip(map(str, range(FIRST_SEED, FIRST_SEED + 10)), trace.node_ranks()))
    nodes = sorted(rows(trace.nodes), key=lambda row: row["sn"])
    gpus = [int(row["gpu"]) for row in nodes]
    cpu = [int(row["cpu_milli"]) / int(row["gpu"]) for row in nodes]
    keys = {
        "trace order": lambda node: node,
        "GPUs ascending": lambda node: gpus[node],
        "GPUs descending": lambda node: -gpus[node],
        "CPU per GPU ascending": lambda node: cpu[node],
        "CPU per GPU descending": lambda node: -cpu[node],
    }
    chosen = {name: rank_bytes(sorted(range(len(nodes)), key=key)) for name, key in keys.items()}
    ours, theirs = {}, {}
    for name, ranks in {**drawn, **chosen}.items():
        runs = with_ranks(trace, ranks)
        at_100 = lambda policy: runs[policy]["allocated_gpu_percent"]["100"]
        ours[name], theirs[name] = at_100("dovetail"), at_100("fgd")
    for what, names in [("ten drawn orders", drawn), ("ten drawn and five sorted", ours)]:
        spread = lambda by: max(by[name] for name in names) - min(by[name] for name in names)
        figure = Figure(f"spread over {what}, points", spread(ours), most(0.3), most(0.1))
        figure.published = f"FGD {spread(theirs):.2f}"
        yield figure
    worst = min(ours, key=ours.get)
    yield Figure(f"least allocated % at 100 % ({worst})", ours[worst], None, None,
                 f"FGD {min(theirs.values()):.2f}")  # fmt: skip


def rank_bytes(order):
    """Ranks by node of nodes in this order."""
    ranks = [0] * len(order)
    for rank, node in enumerate(order):
        ranks[node] = rank
    return b"".join(rank.to_bytes(2, "little") for rank in ranks)


def with_ranks(trace, ranks):
    """A replay of the first order of arrivals with these ranks for every seed."""
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "ranks.u16"
        file.write_bytes(ranks * 10)
        return trace.replay(FIRST_SEED, "--policy", "dovetail,fgd", ranks=file)


def churn(load, must, aim, moves, share_of_fgd, published):
    """P3: pods come and go, and few may move."""

    def figures(_seeds):
        trace = Trace("default")
        arguments = ["--mode", "churn", "--load", load, "--policy", "dovetail,fgd"]
        runs = [trace.replay(seed, *arguments) for seed in CHURN_SEEDS]
        refused = lambda policy: mean(run[policy]["refused_percent"]["gpu8"] for run in runs)
        ours, theirs = refused("dovetail"), refused("fgd")
        yield Figure("8-GPU jobs refused %", ours, most(must), most(aim), published)
        if share_of_fgd:
            part = ours / theirs if theirs else float(ours > 0)
            yield Figure("the same, over FGD's", part, most(share_of_fgd), None, f"FGD {theirs:.2f}")
        moved = mean(run["dovetail"]["moves_per_100"] for run in runs)
        yield Figure("moves per 100 arrivals", moved, most(moves[0]), most(moves[1]))
        yield Figure("all refused %", mean(run["dovetail"]["refused_percent"]["total"] for run in runs),
                     None, None, f"FGD {mean(run['fgd']['refused_percent']['total'] for run in runs):.2f}")  # fmt: skip
        yield from waits(runs)

    return figures


def waits(runs):
    """How long pods wait where they may, in mean lifetimes: the worst of the seeds, by class."""
    by_kind = {}
    for run in runs:
        for waited in run["dovetail"]["wait"]["by_kind"]:
            by_kind.setdefault(waited["kind"], []).append(waited)
    for kind, times in by_kind.items():
        for name in ("p50", "p99", "max"):
            longest = max(float(time[name]) for time in times)
            yield Figure(f"wait of {kind}, {name}, mean lifetimes", longest, digits=3)
    longest = max(float(run["dovetail"]["wait"]["still_waiting_longest"] or 0) for run in runs)
    yield Figure("longest wait of those who still wait, mean lifetimes", longest, digits=3)


def backlog(_seeds):
    """P4: all pods wait at once."""
    trace = Trace("default")
    arguments = ["--mode", "backlog", "--no-baseline"]
    runs = [trace.replay(seed, *arguments)["dovetail"] for seed in CHURN_SEEDS]
    allocated = mean(last(run["allocated_gpu_percent"]) for run in runs)
    yield Figure("allocated %", allocated, least(98.6), least(99.6), "95.2")
    placed = mean(run["placed"] for run in runs)
    yield Figure("pods placed", placed, least(8500), None, "8357", digits=0)
    yield Figure("CPU seconds of a run, the most", max(run["cpu_seconds"] for run in runs), most(1.0))


def scale(_seeds):
    """P6: eight copies of the trace, all waiting at once."""
    run = Trace("default").replay(FIRST_SEED, "--mode", "backlog", "--scale", 8, "--no-baseline")
    run = run["dovetail"]
    what = f"allocated %, {run['nodes']} nodes, {run['arrived']} pods"
    yield Figure(what, last(run["allocated_gpu_percent"]), least(99.0), None, "95.1")
    yield Figure("CPU seconds of the run", run["cpu_seconds"], most(1.0), most(0.5))


def last(curve):
    """The value where most has arrived."""
    return curve[max(curve, key=int)]


def decide(_seeds):
    """Single decisions on a mixed cluster of 10 000 nodes."""
    (row,) = Run([DEBUG / "examples/speed"]).lines()
    times, engine = row["decide"]["decide_us"], row["engine"]
    yield Figure("decide alone, p50, µs", times["p50"], most(5), most(1), "25 000-33 000")
    yield Figure("decide alone, p99, µs", times["p99"], most(100), None)
    yield Figure("update of all scores, p50, µs", row["decide"]["update_us"]["p50"])
    yield Figure("decide and update, decisions/s", row["decide"]["decisions_per_second"], digits=0)
    rate = engine["decisions_per_second"]
    yield Figure("`Engine::handle` with update, decisions/s", rate, least(50_000), least(80_000), digits=0)
    yield Figure("`Engine::handle`, p50, µs", engine["handle_us"]["p50"])
    yield Figure("`Engine::handle`, p99, µs", engine["handle_us"]["p99"])


def whole_run(_seeds):
    """The whole default run as a process, measured from outside."""
    seconds, peak = measured(map(str, Trace("default").command(FIRST_SEED, "--no-baseline")))
    yield Figure("CPU seconds", seconds, most(1.0), most(0.2), "270-364")
    yield Figure("peak memory, MB", peak / 1e6, most(64), most(20), "2300-2900", digits=1)


def loaded(_seeds):
    """A window on 9704 nodes that are nearly full: some room for all of it, and too little."""
    command = [DEBUG / "examples/backlog", data() / "openb", "default", FIRST_SEED, "--scale", 8]
    for percent in [93, 95]:
        (row,) = Run([*command, "--loaded", percent, "--window", 500, "--soft-ms", 250]).lines()
        at = f"at {percent} %"
        yield Figure(f"wall ms of the window {at}", row["wall_ms"], most(500), most(250), digits=0)
        yield Figure(f"CPU ms of the window {at}", row["cpu_ms"], digits=0)
        more = 100 * (row["placed"] / row["start_placed"] - 1)
        promise = (least(0), least(20)) if percent == 95 else (least(0), None)
        yield Figure(f"placed beyond the online plan {at}, %", more, *promise)
        above = row["worth"] - row["start_worth"]
        yield Figure(f"worth beyond the online plan {at}", above, least(0), digits=0)


def vectorpack(_seeds):
    """Bins opened on the public vector packing instances."""
    found = Run([DEBUG / "examples/packing", data() / "instances", "vbp"]).lines()
    known = [row for row in found if row["optimum"]]
    over = mean(100 * (row["value"] / row["optimum"] - 1) for row in known)
    yield Figure(f"bins over the optimum, %, {len(known)} instances", over, most(0.5), None, "9.5")
    optimal = sum(row["value"] == row["optimum"] for row in known)
    yield Figure(f"optimal, of {len(known)}", optimal, digits=0)
    small = [row for row in known if "triplet" in row["instance"] or "classF" in row["instance"]]
    small = [row for row in small if int(row["instance"].split("_")[-3]) <= 120]
    quick = [row["value"] == row["optimum"] and row["seconds_cpu"] <= 1 for row in small]
    yield Figure(f"triplets n <= 120 optimal in 1 CPU s, of {len(small)}", sum(quick), digits=0)


def or_library(_seeds):
    """Bins opened on the OR-Library's and Falkenauer's instances in one dimension."""
    found = Run([DEBUG / "examples/packing", data() / "instances", "bpp1d"]).lines()
    known = [row for row in found if row["optimum"]]
    over = mean(100 * (row["value"] / row["optimum"] - 1) for row in known)
    yield Figure(f"bins over the best known, %, {len(known)} instances", over)
    optimal = sum(row["value"] <= row["optimum"] for row in known)
    yield Figure(f"as few as the best known, of {len(known)}", optimal, digits=0)


def planted(_seeds):
    """The honest worst case: nearly all pods differ, and all of them fit."""
    for nodes in [20, 100, 500]:
        command = [DEBUG / "examples/packing", data() / "instances", "planted", nodes]
        (row,) = Run(command).lines()
        percent = 100 * row["value"] / row["optimum"]
        promise = (least(90), least(95), "greedy 77") if nodes == 500 else (None, None, "-")
        yield Figure(f"{nodes} nodes, allocated %", percent, *promise)
        yield Figure(f"{nodes} nodes, CPU seconds", row["seconds_cpu"])


PROTOCOLS = {
    "P1 baselines": published_baselines,
    **{f"P2 online {name}": online(name) for name in ONLINE},
    "P2 node orders": node_orders,
    "P3 churn 0.95": churn("0.95", 4.0, 1.0, (1.3, 1.0), 0.2, "21.7"),
    "P3 churn 0.90": churn("0.90", 0.5, 0.0, (0.5, 0.3), None, "10.4"),
    "P4 backlog": backlog,
    "P6 scale": scale,
    "decide": decide,
    "whole run": whole_run,
    "loaded window": loaded,
    "Vectorpack": vectorpack,
    "OR-Library": or_library,
    "planted": planted,
}
