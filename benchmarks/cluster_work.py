"""Jobs and an endpoint on a cluster of three hosts on this machine, for fault injection."""

import hashlib
import json
import re
import time
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.archive_rows import real_tweets, texts, write_archive
from benchmarks.bench_archive import differences
from benchmarks.cluster_callers import Clients
from benchmarks.cluster_notices import SpotNotices
from tests.lab.desk import DASHBOARD, SHARED, Desk, check, echo
from tests.lab.hosts import Host
from tests.support.ray_head import wait_for
from tweetelm.predictor import Predictor
from tweetelm.registry import resolve

COMMON = "--task hate --data.root sample --data.limit 300 --model.name scratch-1m --model.max-tokens 64"
COMMON += f" --loop.precision float32 --tracking.wandb off --run.storage {SHARED}/runs"
COMMON += f" --run.registry {SHARED}/models"
LONG = f"{COMMON} --loop.batch-tokens 512 --loop.epochs 4 --loop.checkpoint-every 5 --run.workers 2"
TRAIN = f"{LONG} --run.cpus 2"  # each worker uses a whole host
TRAIN_HALF = f"{LONG} --run.cpus 1"  # leaves one CPU per host for a replica
SEARCH = f"{COMMON} --loop.batch-tokens 512 --loop.epochs 2 --space tiny --trials 4"
ARCHIVE_ROWS = 30_000
MIN_STEPS = 8  # steps that a run completes before the fault
TIMEOUT_S = 900
Fault = Callable[[Host], float]


class Bench:
    """The cluster, and notes on what happened."""

    def __init__(self, hosts: Sequence[Host]) -> None:
        self.hosts, self.desk = list(hosts), Desk(hosts)
        self.shared = hosts[0].folder / "shared"
        self.notices = SpotNotices(hosts[0], hosts[1:])
        self.notes: list[str] = []

    def note(self, line: str) -> None:
        echo(line)
        self.notes.append(f"- {line}")

    # --- the cluster ---

    def restore_hosts(self) -> float:
        """Power on every host that is off, and wait until all are alive; returns the seconds."""
        self.notices.wait_until_off()
        for host in self.hosts:
            if host.process is None:
                host.power_on()
        return self.desk.wait_for_hosts(len(self.hosts), 600)

    def host_running(self, word: str) -> Host:
        """A worker host that runs a process whose command line contains `word`."""
        found: list[Host] = []

        def look() -> bool:
            found[:] = [host for host in self.hosts[1:] if any(word in line for line in host.processes())]
            return bool(found)

        wait_for(f"a worker host runs {word}", look, TIMEOUT_S)
        return found[0]

    def job(self, module: str, name: str, flags: str) -> str:
        """Submit a job and return its id."""
        check(self.desk.submit("python", "-m", module, "--name", name, *flags.split(), wait=False))
        jobs = [job for job in self.desk.get("/api/jobs/") if f"--name {name} " in job["entrypoint"]]
        return str(max(jobs, key=lambda job: job["start_time"])["submission_id"])

    def final_status(self, job: str) -> str:
        """Wait until a job has ended, and return its status."""
        final = ("SUCCEEDED", "FAILED", "STOPPED")
        wait_for(f"{job} has ended", lambda: self.desk.get(f"/api/jobs/{job}")["status"] in final, TIMEOUT_S)
        return str(self.desk.get(f"/api/jobs/{job}")["status"])

    def log_matches(self, job: str, pattern: str) -> list[str]:
        """All matches of `pattern` in a job's log."""
        line = ("ray", "job", "logs", "--address", DASHBOARD, job)
        return re.findall(pattern, self.desk.run(*line).output)

    # --- results of a run ---

    def steps(self, name: str) -> int:
        """The last step in the history of a run."""
        path = self.shared / "runs" / name / "history.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return max((json.loads(line).get("step", 0) for line in lines if line.endswith("}")), default=0)

    def fingerprint(self, name: str) -> str:
        """sha256 of the weights and the optimizer in the last checkpoint."""
        states = (self.shared / "runs" / name).glob("checkpoint_*/state.json")
        complete = [path for path in states if path.stat().st_size]  # a full disk leaves empty ones
        folders = {json.loads(path.read_text())["progress"]["step"]: path.parent for path in complete}
        last = folders[max(folders)]
        content = b"".join((last / f"{part}.safetensors").read_bytes() for part in ("model", "optimizer"))
        return hashlib.sha256(content).hexdigest()[:16]

    def compare_weights(self, name: str, uninterrupted: str = "uninterrupted") -> str:
        """Whether two runs have bit-identical weights and optimizer, in words."""
        same = self.fingerprint(name) == self.fingerprint(uninterrupted)
        return "bit-identical" if same else "OTHER WEIGHTS"

    def samples(self, name: str) -> list[str]:
        """The hyperparameters of all trials of a finished search, as sorted JSON."""
        result: dict[str, Any] = json.loads((self.shared / "runs" / name / "result.json").read_text())
        return sorted(json.dumps(trial["sample"], sort_keys=True) for trial in result["trials"])

    # --- faults ---

    def training(self, name: str, fault: Fault, what: str) -> None:
        job = self.job("ray_jobs.train", name, TRAIN)
        wait_for(f"{name} has trained", lambda: self.steps(name) >= MIN_STEPS, TIMEOUT_S)
        host, at = self.host_running("RayTrainWorker"), self.steps(name)
        moment = fault(host)
        wait_for("the run is past that step", lambda: self.steps(name) > max(at, MIN_STEPS) + 1, TIMEOUT_S)
        past = time.monotonic() - moment
        status = self.final_status(job)
        same = self.compare_weights(name)
        self.note(f"training, {what}: past that step {past:.0f} s later, {status}, {same} at the end")
        self.note_resumption(job)
        self.restore_hosts()

    def note_resumption(self, job: str) -> None:
        """Note the steps after which runs were preempted, and at which they resumed."""
        left = sorted(set(self.log_matches(job, r"preempted after step (\d+)")))
        if left:
            resumed = self.log_matches(job, r"resuming \S+ at step (\d+)")
            saved = f"preempted after step {', '.join(left)}, checkpoint saved"
            self.note(f"{saved}; resumed at {', '.join(resumed)}")

    def search(self, name: str, fault: Fault, what: str, expected: list[str]) -> None:
        job = self.job("ray_jobs.tune", name, SEARCH)
        host = self.host_running("RayTrainWorker")
        fault(host)
        status = self.final_status(job)
        same = "the same trials" if self.samples(name) == expected else "OTHER TRIALS"
        self.note(f"search, {what}: {status}, {same}")
        self.note_resumption(job)
        self.restore_hosts()

    def serving(self, fault: Fault, what: str) -> None:
        """Clients use the head's endpoint; a host with a replica fails."""
        clients = Clients(self.desk, self.hosts[:1])
        clients.start()
        host = self.host_running("ServeReplica")
        moment = fault(host)
        self.notices.wait_until_off()
        running = wait_for("two replicas run", lambda: self.replicas() == 2, TIMEOUT_S)
        time.sleep(5.0)  # include requests after recovery
        clients.stop()
        self.note(f"serving, {what}: {clients.outage(moment)}; two replicas {running:.0f} s after the fault")
        self.restore_hosts()

    def archive(self, fault: Fault, what: str) -> None:
        """Compare all results with `Predictor` after the fault."""
        base, place = real_tweets("sample"), self.shared / "archive"
        write_archive(place, base, ARCHIVE_ROWS)
        line = f"python -m ray_jobs.classify_files {SHARED}/archive --task hate --registry {SHARED}/models"
        line += f" --out {SHARED}/labeled --fragment-rows 500"
        check(self.desk.submit(*line.split(), wait=False))
        jobs = [job for job in self.desk.get("/api/jobs/") if "classify_files" in job["entrypoint"]]
        job, out = str(jobs[0]["submission_id"]), self.shared / "labeled"
        wait_for("fragments are done", lambda: len(list(out.glob("*/done/*.json"))) >= 4, TIMEOUT_S)
        fault(self.host_running("MapWorker"))
        done = len(list(out.glob("*/done/*.json")))
        status = self.final_status(job)
        predictor = Predictor.load(resolve("hate", registry=str(self.shared / "models")), device="cpu")
        self.note(f"archive, {what} after {done} of {ARCHIVE_ROWS // 500} fragments: {status}")
        self.notes += differences(out, predictor, list(texts(base, ARCHIVE_ROWS)))
        self.restore_hosts()

    def deploy(self) -> None:
        """Deploy the endpoint and wait for two replicas."""
        self.desk.deploy()
        wait_for("two replicas run", lambda: self.replicas() == 2, TIMEOUT_S)

    def undeploy(self) -> None:
        """Shut Ray Serve down and release its resources."""
        check(self.desk.run("serve", "shutdown", "--yes", "--address", DASHBOARD))

    def replicas(self) -> int:
        """Number of running replicas on reachable hosts."""
        answer = self.desk.get("/api/serve/applications/")["applications"]["tweetelm"]["deployments"]
        if "TweetClassifier" not in answer:  # it is being deployed
            return 0
        found = answer["TweetClassifier"]["replicas"]
        reachable = {host.address for host in self.hosts if host.process} & set(self.desk.nodes())
        return sum(one["state"] == "RUNNING" and one["node_ip"] in reachable for one in found)
