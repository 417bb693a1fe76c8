"""Our window engine beside CP-SAT, HiGHS and SCIP on the same samples of a published trace.

Each peer gets a model of node by node and GPU by GPU, ten times the CPU seconds that we took, at
least ten, and a process of its own. Install them with `./dev bench peers`, which calls this.
"""

import argparse
import json
import pathlib
import resource
import subprocess
import sys
import threading
from collections import Counter

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "promises"))
from programs import DEBUG, FIRST_SEED, Run, Trace, data, rows

DEMAND_PERCENT = 130
POD_WORTH = 50
SECONDS_LEAST = 10
# On a busy machine CPU comes slowly: a peer is ended after so many times its limit by the clock.
PATIENCE = 10
# Reading and building a model of 500 nodes takes a while that is not the solver's.
BUILD_SECONDS = 120


def main():
    parser = argparse.ArgumentParser(prog="./dev bench peers", description=__doc__.split("\n")[0])
    parser.add_argument("--nodes", type=int, nargs="*", default=[20, 100, 500])
    parser.add_argument("--solve", choices=PEERS, help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.solve:
        print(json.dumps(solve(arguments.solve, arguments.nodes[0], arguments.seconds)))
        return
    print("| nodes | who | CPU s | limit s | allocated % | pods | worth | status |")
    print("|---|---|---|---|---|---|---|---|")
    for nodes in arguments.nodes:
        ours = our_engine(nodes)
        show(nodes, "dovetail", ours)
        for peer in PEERS:
            show(nodes, peer, ask_peer(peer, nodes, max(SECONDS_LEAST, 10 * ours["cpu"])))


def our_engine(nodes):
    command = [DEBUG / "examples/backlog", data() / "openb", "default", FIRST_SEED]
    (row,) = Run([*command, "--nodes", nodes]).lines()
    sample = Sample(nodes)
    if (row["nodes"], row["waiting"]) != (len(sample.nodes), sum(sample.counts.values())):
        sys.exit("peers: the engine and the models do not see the same sample")
    return {
        "cpu": row["cpu_ms"] / 1000,
        "percent": row["gpu_percent"],
        "placed": row["placed"],
        "worth": row["worth"],
        "status": f"ceiling {row['ceiling']}",
    }


def ask_peer(peer, nodes, seconds):
    command = [sys.executable, __file__, "--solve", peer, "--nodes", nodes, "--seconds", seconds]
    try:
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                              timeout=PATIENCE * seconds + BUILD_SECONDS)  # fmt: skip
    except subprocess.TimeoutExpired:
        return {"limit": seconds, "status": "did not come back"}
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        last = done.stderr.strip().splitlines()[-1:] or [f"ended with {done.returncode}"]
        return {"limit": seconds, "status": last[0][:60]}
    return {"limit": seconds, **json.loads(lines[-1])}


def show(nodes, who, row):
    cell = lambda key, digits: f"{row[key]:.{digits}f}" if row.get(key) is not None else "-"
    cells = [nodes, who, cell("cpu", 2), cell("limit", 1), cell("percent", 2)]
    cells += [cell("placed", 0), cell("worth", 0), row["status"]]
    print("| " + " | ".join(str(text) for text in cells) + " |", flush=True)


class Sample:
    """Every so-many-th node, and arrivals until they ask for 130 % of their GPUs."""

    def __init__(self, count):
        trace = Trace("default")
        nodes = ranked(trace)
        every = len(nodes) // count
        self.nodes = nodes[::every][:count]
        self.capacity = sum(int(node["gpu"]) * 1000 for node in self.nodes)
        self.counts = Counter()
        asked = 0
        for pod in arrivals(trace):
            if asked >= self.capacity * DEMAND_PERCENT / 100:
                break
            self.counts[pod] += 1
            asked += milli(pod)


def ranked(trace):
    """The nodes in the first published order."""
    ranks = trace.node_ranks()[0]
    nodes = enumerate(sorted(rows(trace.nodes), key=lambda row: row["sn"]))
    rank = lambda index: int.from_bytes(ranks[2 * index : 2 * index + 2], "little")
    return [node for _, node in sorted(nodes, key=lambda node: rank(node[0]))]


def arrivals(trace):
    """Pods as (cpu, memory, GPUs, milli, models) in the first published order."""
    pods = sorted(rows(trace.pods), key=lambda row: row["name"])
    content = trace.orders.read_bytes()
    count = int.from_bytes(content[:4], "little")
    for at in range(count):
        row = pods[int.from_bytes(content[4 + 2 * at : 6 + 2 * at], "little")]
        count, share = int(row["num_gpu"]), int(row["gpu_milli"])
        models = row.get("gpu_spec", "") if count else ""
        yield int(row["cpu_milli"]), int(row["memory_mib"]), count, share if count else 0, models


def milli(pod):
    return pod[2] * pod[3]


def worth(pod):
    return POD_WORTH + (milli(pod) if pod[2] else pod[0] // 40)


class Model:
    """Columns and rows: members of a class on a node, shares on a GPU, and GPUs given whole."""

    def __init__(self, sample):
        self.upper, self.value, self.rows, self.pod = [], [], [], []
        by_class = {pod: [] for pod in sample.counts}
        for node in sample.nodes:
            self.node(node, sample.counts, by_class)
        for pod, columns in by_class.items():
            self.rows.append((None, sample.counts[pod], [(column, 1) for column in columns]))

    def column(self, upper, value=0, pod=None):
        self.upper.append(upper)
        self.value.append(value)
        self.pod.append(pod)
        return len(self.upper) - 1

    def node(self, node, counts, by_class):
        cpu, memory = int(node["cpu_milli"]), int(node["memory_mib"])
        gpus = range(int(node["gpu"]))
        own = {}
        for pod, count in counts.items():
            fits = pod[0] <= cpu and pod[1] <= memory and pod[2] <= len(gpus)
            if fits and (not pod[4] or node["model"] in pod[4].split("|")):
                own[pod] = self.column(count, worth(pod), pod)
                by_class[pod].append(own[pod])
        self.rows.append((None, cpu, [(column, pod[0]) for pod, column in own.items()]))
        self.rows.append((None, memory, [(column, pod[1]) for pod, column in own.items()]))
        whole = [self.column(1) for _ in gpus]
        on_gpu = [[(column, 1000)] for column in whole]
        wanted = [(column, pod[2]) for pod, column in own.items() if pod[2] and pod[3] == 1000]
        self.rows.append((0, 0, wanted + [(column, -1) for column in whole]))
        for size in sorted({pod[3] for pod in own if 0 < pod[3] < 1000}):
            shares = [(column, 1) for pod, column in own.items() if pod[3] == size]
            for gpu in gpus:
                column = self.column(1000 // size)
                on_gpu[gpu].append((column, size))
                shares.append((column, -1))
            self.rows.append((0, 0, shares))
        self.rows.extend((None, 1000, terms) for terms in on_gpu)


def solve(peer, nodes, seconds):
    sample = Sample(nodes)
    model = Model(sample)
    status, values, taken = PEERS[peer](model, seconds)
    row = {"cpu": taken, "status": f"{status}, {len(model.upper)} columns"}
    if values is None:
        return row
    check(model, values)
    placed = [(pod, value) for pod, value in zip(model.pod, values) if pod and value]
    allocated = sum(milli(pod) * value for pod, value in placed)
    return {
        **row,
        "percent": 100 * allocated / sample.capacity,
        "placed": sum(value for _, value in placed),
        "worth": sum(worth(pod) * value for pod, value in placed),
    }


def check(model, values):
    """Nobody is believed: the rows hold in integers."""
    for low, high, terms in model.rows:
        total = sum(values[column] * factor for column, factor in terms)
        assert total <= high and (low is None or total >= low), "the answer breaks a row"
    assert all(0 <= value <= upper for value, upper in zip(values, model.upper))


def cpu():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


class Watch:
    """Measures a search and stops it when it has had its CPU seconds."""

    def __init__(self, seconds, stop):
        self.seconds, self.stop = seconds, stop
        self.ended = threading.Event()

    def __enter__(self):
        self.before = cpu()
        threading.Thread(target=self.watch, daemon=True).start()
        return self

    def watch(self):
        while not self.ended.wait(0.1):
            if cpu() - self.before >= self.seconds:
                self.stop()

    def __exit__(self, *_error):
        self.ended.set()
        self.taken = cpu() - self.before


def cp_sat(model, seconds):
    from ortools.sat.python import cp_model

    problem = cp_model.CpModel()
    columns = [problem.new_int_var(0, upper, "") for upper in model.upper]
    total = lambda terms: cp_model.LinearExpr.weighted_sum(
        [columns[column] for column, _ in terms], [factor for _, factor in terms]
    )
    for low, high, terms in model.rows:
        problem.add(total(terms) == high) if low == high else problem.add(total(terms) <= high)
    problem.maximize(total([(c, value) for c, value in enumerate(model.value) if value]))
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds = PATIENCE * seconds
    solver.parameters.num_workers = 1
    with Watch(seconds, solver.stop_search) as watch:
        status = solver.solve(problem)
    found = status in (cp_model.OPTIMAL, cp_model.FEASIBLE)
    values = [solver.value(column) for column in columns] if found else None
    return solver.status_name(status), values, watch.taken


def highs(model, seconds):
    import highspy

    solver = highspy.Highs()
    solver.setOptionValue("output_flag", False)
    solver.setOptionValue("threads", 1)
    solver.setOptionValue("time_limit", PATIENCE * seconds)
    solver.HandleUserInterrupt = True
    for upper, value in zip(model.upper, model.value):
        solver.addCol(-float(value), 0.0, float(upper), 0, [], [])
    count = len(model.upper)
    solver.changeColsIntegrality(count, list(range(count)), [highspy.HighsVarType.kInteger] * count)
    for low, high, terms in model.rows:
        low = -highspy.kHighsInf if low is None else float(low)
        solver.addRow(low, float(high), len(terms), [c for c, _ in terms], [float(f) for _, f in terms])
    with Watch(seconds, solver.cancelSolve) as watch:
        solver.solve()
    status = solver.modelStatusToString(solver.getModelStatus())
    solution = solver.getSolution()
    if solver.getInfo().primal_solution_status != highspy.SolutionStatus.kSolutionStatusFeasible:
        return status, None, watch.taken
    return status, [round(value) for value in solution.col_value], watch.taken


def scip(model, seconds):
    import pyscipopt

    solver = pyscipopt.Model()
    solver.hideOutput()
    solver.setParam("limits/time", seconds)
    solver.setParam("timing/clocktype", 1)
    columns = [solver.addVar(vtype="I", lb=0, ub=u, obj=v) for u, v in zip(model.upper, model.value)]
    solver.setMaximize()
    for low, high, terms in model.rows:
        total = pyscipopt.quicksum(factor * columns[column] for column, factor in terms)
        solver.addCons(total == high if low == high else total <= high)
    with Watch(seconds, lambda: None) as watch:
        solver.optimize()
    if not solver.getNSols():
        return solver.getStatus(), None, watch.taken
    return solver.getStatus(), [round(solver.getVal(column)) for column in columns], watch.taken


PEERS = {"cp-sat": cp_sat, "highs": highs, "scip": scip}

if __name__ == "__main__":
    main()
