"""A cluster of three hosts on this machine, its jobs and its endpoint, while things are done to its hosts."""

import hashlib
import json
import re
import time
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.cluster_callers import Callers
from benchmarks.cluster_notices import PreemptionPoller
from tests.lab.desk import DASHBOARD, SHARED, Desk, must, say
from tests.lab.hosts import Host
from tests.support.ray_head import wait_for

COMMON = "--task hate --data.root sample --data.limit 300 --model.name scratch-1m --model.max-tokens 64"
COMMON += f" --loop.precision float32 --tracking.wandb off --run.storage {SHARED}/runs"
COMMON += f" --run.registry {SHARED}/models"
LONG = f"{COMMON} --loop.batch-tokens 512 --loop.epochs 4 --loop.checkpoint-every 5 --run.workers 2"
TRAIN = f"{LONG} --run.cpus 2"  # a whole host for each worker
BESIDE = f"{LONG} --run.cpus 1"  # leaves a CPU of each host to a replica
SEARCH = f"{COMMON} --loop.batch-tokens 512 --loop.epochs 2 --space tiny --trials 4"
BEFORE = 8  # steps that a run has done when something happens to it
PATIENCE_S = 900
Fault = Callable[[Host], float]


class Bench:
    """The cluster, and what was seen."""

    def __init__(self, hosts: Sequence[Host]) -> None:
        self.hosts, self.desk = list(hosts), Desk(hosts)
        self.shared = hosts[0].folder / "shared"
        self.notices = PreemptionPoller(hosts[0], hosts[1:])
        self.seen: list[str] = []

    def note(self, line: str) -> None:
        say(line)
        self.seen.append(f"- {line}")

    # --- the cluster ---

    def whole(self) -> float:
        """Seconds until every host is there again; one that is off is switched on."""
        self.notices.gone()
        for host in self.hosts:
            if host.process is None:
                host.power_on()
        return self.desk.joined(len(self.hosts), 600)

    def busy(self, word: str) -> Host:
        """A host other than the head on which such a process runs."""
        found: list[Host] = []

        def look() -> bool:
            found[:] = [host for host in self.hosts[1:] if any(word in line for line in host.processes())]
            return bool(found)

        wait_for(f"a worker host runs {word}", look, PATIENCE_S)
        return found[0]

    def job(self, module: str, name: str, flags: str) -> str:
        """Submit, and return its id."""
        must(self.desk.submit("python", "-m", module, "--name", name, *flags.split(), wait=False))
        jobs = [job for job in self.desk.get("/api/jobs/") if f"--name {name} " in job["entrypoint"]]
        return str(max(jobs, key=lambda job: job["start_time"])["submission_id"])

    def ended(self, job: str) -> str:
        """Its status once it has one that lasts."""
        last = ("SUCCEEDED", "FAILED", "STOPPED")
        wait_for(f"{job} has ended", lambda: self.desk.get(f"/api/jobs/{job}")["status"] in last, PATIENCE_S)
        return str(self.desk.get(f"/api/jobs/{job}")["status"])

    def said(self, job: str, pattern: str) -> list[str]:
        """What a job's log says."""
        line = ("ray", "job", "logs", "--address", DASHBOARD, job)
        return re.findall(pattern, self.desk.type(*line).output)

    # --- what a run has done ---

    def steps(self, name: str) -> int:
        """The last step in its history."""
        path = self.shared / "runs" / name / "history.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return max((json.loads(line).get("step", 0) for line in lines if line.endswith("}")), default=0)

    def fingerprint(self, name: str) -> str:
        """sha256 of the weights and the optimizer in the last checkpoint."""
        states = (self.shared / "runs" / name).glob("checkpoint_*/state.json")
        whole = [path for path in states if path.stat().st_size]  # a full disk leaves empty ones
        folders = {json.loads(path.read_text())["progress"]["step"]: path.parent for path in whole}
        last = folders[max(folders)]
        content = b"".join((last / f"{part}.safetensors").read_bytes() for part in ("model", "optimizer"))
        return hashlib.sha256(content).hexdigest()[:16]

    def compared(self, name: str, alone: str = "alone") -> str:
        """With the run that was left alone."""
        same = self.fingerprint(name) == self.fingerprint(alone)
        return "the same bits" if same else "OTHER WEIGHTS"

    def samples(self, name: str) -> list[str]:
        """The trials of a finished search."""
        result: dict[str, Any] = json.loads((self.shared / "runs" / name / "result.json").read_text())
        return sorted(json.dumps(trial["sample"], sort_keys=True) for trial in result["trials"])

    # --- faults ---

    def training(self, name: str, fault: Fault, what: str) -> None:
        job = self.job("ray_jobs.train", name, TRAIN)
        wait_for(f"{name} has trained", lambda: self.steps(name) >= BEFORE, PATIENCE_S)
        host, at = self.busy("RayTrainWorker"), self.steps(name)
        moment = fault(host)
        wait_for("the run is past that step", lambda: self.steps(name) > max(at, BEFORE) + 1, PATIENCE_S)
        past = time.monotonic() - moment
        status = self.ended(job)
        same = self.compared(name)
        self.note(f"training, {what}: past that step {past:.0f} s later, {status}, {same} at the end")
        self.moved(job)
        self.whole()

    def moved(self, job: str) -> None:
        """Where its runs left after a notice, and where they went on."""
        left = sorted(set(self.said(job, r"preempted after step (\d+)")))
        if left:
            resumed = self.said(job, r"resuming \S+ at step (\d+)")
            self.note(f"left after step {', '.join(left)}, which was saved; went on at {', '.join(resumed)}")

    def search(self, name: str, fault: Fault, what: str, expected: list[str]) -> None:
        job = self.job("ray_jobs.tune", name, SEARCH)
        host = self.busy("RayTrainWorker")
        fault(host)
        status = self.ended(job)
        same = "the same trials" if self.samples(name) == expected else "OTHER TRIALS"
        self.note(f"search, {what}: {status}, {same}")
        self.moved(job)
        self.whole()

    def serving(self, fault: Fault, what: str) -> None:
        """Callers ask the head; a host with a replica fails."""
        callers = Callers(self.desk, self.hosts[:1])
        callers.start()
        host = self.busy("ServeReplica")
        moment = fault(host)
        self.notices.gone()
        running = wait_for("two replicas run", lambda: self.replicas() == 2, PATIENCE_S)
        time.sleep(5.0)  # what callers notice when all is well again
        callers.stop()
        self.note(f"serving, {what}: {callers.outage(moment)}; two replicas {running:.0f} s after")
        self.whole()

    def deployed(self) -> None:
        """The endpoint, with two replicas."""
        self.desk.deploy()
        wait_for("two replicas run", lambda: self.replicas() == 2, PATIENCE_S)

    def undeployed(self) -> None:
        """No endpoint, and what it held free again."""
        must(self.desk.type("serve", "shutdown", "--yes", "--address", DASHBOARD))

    def replicas(self) -> int:
        """Those on hosts that can be reached."""
        answer = self.desk.get("/api/serve/applications/")["applications"]["tweetelm"]["deployments"]
        if "TweetClassifier" not in answer:  # it is being deployed
            return 0
        found = answer["TweetClassifier"]["replicas"]
        there = {host.address for host in self.hosts if host.process} & set(self.desk.nodes())
        return sum(one["state"] == "RUNNING" and one["node_ip"] in there for one in found)
