"""Ray Serve on this machine, controlled over standard input: `python -m benchmarks.driver --port P`.

Each input line is a JSON object and gets one JSON object in response: {"deploy": APP} deploys like
`serve deploy` (see `benchmarks.service.app`), {"status": true} returns the states of the replicas. The
process ends with its input.
"""

import argparse
import json
import logging
import sys
from collections.abc import Callable
from typing import Any


def start(port: int, cpus: int) -> None:
    import ray
    from ray import serve

    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    ray.init(
        address="local",
        num_cpus=cpus,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    http = {"host": "127.0.0.1", "port": port, "request_timeout_s": 30}
    serve.start(proxy_location="HeadOnly", http_options=http)


def deploy(app: dict[str, Any]) -> dict[str, Any]:
    """Deploy an application without waiting; `status` shows the progress."""
    from ray.serve.context import _get_global_client
    from ray.serve.schema import ServeDeploySchema

    client = _get_global_client()
    assert client is not None
    client.deploy_apps(ServeDeploySchema.model_validate({"applications": [app]}))
    return {}


def status(_: Any) -> dict[str, Any]:
    from ray import serve

    app = serve.status().applications.get("tweetelm")
    if app is None:
        return {"app": "NONE", "replicas": {}, "message": ""}
    deployments = app.deployments.values()
    return {
        "app": str(app.status.value),
        "deployment": [str(one.status.value) for one in deployments],
        "replicas": {str(k): n for one in deployments for k, n in one.replica_states.items()},
        "message": " ".join([app.message, *(one.message for one in deployments)]).strip(),
    }


COMMANDS: dict[str, Callable[[Any], dict[str, Any]]] = {"deploy": deploy, "status": status}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="port to listen on")
    parser.add_argument("--cpus", type=int, default=4, help="logical CPUs of the cluster")
    arguments = parser.parse_args()
    answers, sys.stdout = sys.stdout, sys.stderr  # keep library output out of the responses
    start(arguments.port, arguments.cpus)
    print("{}", file=answers, flush=True)
    for line in sys.stdin:
        ((name, argument),) = json.loads(line).items()
        try:
            answer = COMMANDS[name](argument)
        except Exception as error:  # noqa: BLE001 — the controller may have just been killed; the client decides
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
