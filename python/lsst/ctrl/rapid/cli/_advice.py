"""What takes the place of an option that only ``pipetask`` has."""

from __future__ import annotations

__all__ = ("advise",)

from collections.abc import Mapping

_GRAPH = "a graph from a file is run by 'rapid-exec run-graph GRAPH -b REPO'."
_MAKE_GRAPH = "graphs are made by 'pipetask qgraph', and run by 'rapid-exec run-graph GRAPH -b REPO'."
_IN_YAML = "write the task into a pipeline that imports this one, or have 'rapid-exec new-channel' do it."
_SELECT = "name tasks, subsets or steps behind the pipeline: FILE#LABEL,LABEL."
_SHOW = "'rapid-exec plan PIPELINE' shows steps, tasks and inputs; 'pipetask build --show' shows the rest."
_DRAW = "use 'pipetask build' for pictures of a pipeline and 'pipetask qgraph' for those of a graph."
_DEBUG = "debug a task with plain pipetask; the log of a failed shard has the command that repeats it."
_RUNS = (
    "the RUNs are {OUTPUT}/{DAY_OBS}/{PIPELINE}-{HASH} below -o; each is made when it is needed and "
    "continued by every later start."
)
_DONE = (
    "no option is needed: what has an outcome below -o is never run again by a later start, and what was "
    "interrupted is; 'run-graph' has --skip-existing."
)
_REGISTERED = "no option is needed: 'run' registers what its pipelines make; 'run-graph' has the option."
_VERSIONS = "package versions are always kept in a RUN; 'run-graph' has --no-versions."
_PROFILE = (
    "'rapid-exec report' shows where the time went; profile a task with plain pipetask, by the command that "
    "repeats a shard."
)
_RESOURCES = (
    "each worker has one core; -j/--workers is their number, worker_memory_mb of the site file their memory."
)
_MOCK = "mock a pipeline with plain pipetask, and run its graph with 'rapid-exec run-graph'."
_COVERAGE = "measure the coverage of tasks with plain pipetask, as 'rapid-exec test-channels' runs them."
_QUERY = (
    "nothing is to be constrained: a shard's quanta are made from its data ID; 'rapid-exec plan' shows how."
)
_LOGS = "log lines have their time always; --log-file appends them to a file, with labels and line numbers."
_CHECKS = "'rapid-exec report' reads the report of 'run' (--report); 'run-graph' has --summary."
_HEADLESS = "a terminal always gets the log lines; --log-level ERROR leaves most of them out."

_CONFIG = "'run', 'plan' and 'test-channels' have it; a graph has its configuration already."
_DATA = "'rapid-exec run PIPELINE -b REPO -d WHERE' takes an expression; a graph has its data IDs already."
_REPOSITORY = "'run', 'plan' and 'run-graph' have it; 'test-channels' makes a repository of its own."
_COLLECTIONS = "'run' has it; a graph has its inputs and outputs already."
_START = "'run' makes the RUNs of the day when it starts; 'rapid-exec doctor' looks and writes nothing."

_ADVICE: Mapping[str, str] = {
    "-p": "the pipeline is an argument of its own: 'rapid-exec run PIPELINE'.",
    "--pipeline": "the pipeline is an argument of its own: 'rapid-exec run PIPELINE'.",
    "-t": _IN_YAML,
    "--task": _IN_YAML,
    "--delete": _SELECT,
    "--select-tasks": _SELECT,
    "-c": _CONFIG,
    "--config": _CONFIG,
    "-C": _CONFIG,
    "--config-file": _CONFIG,
    "-s": "use 'pipetask build -p PIPELINE --save-pipeline FILE'.",
    "--save-pipeline": "use 'pipetask build -p PIPELINE --save-pipeline FILE'.",
    "--pipeline-dot": _DRAW,
    "--pipeline-mermaid": _DRAW,
    "--qgraph-dot": _DRAW,
    "--qgraph-mermaid": _DRAW,
    "--instrument": "'run --instrument' names cameras whose raws are taken, as registered; a class that "
    "overrides configurations is named by 'instrument:' in the pipeline.",
    "-g": _GRAPH,
    "--qgraph": _GRAPH,
    "--qgraph-id": _GRAPH,
    "--qgraph-node-id": "a graph is run whole; 'pipetask qgraph -d WHERE' makes one of some quanta.",
    "-q": _MAKE_GRAPH + " 'rapid-exec export-graph' writes that of what was run.",
    "--save-qgraph": _MAKE_GRAPH + " 'rapid-exec export-graph' writes that of what was run.",
    "--qgraph-datastore-records": _MAKE_GRAPH,
    "--skip-existing-in": _DONE,
    "--skip-existing": _DONE,
    "--extend-run": _DONE,
    "--retained-dataset-types": _DONE,
    "--clobber-outputs": "use another -o, or remove what is to be made again with 'butler prune-datasets'; "
    "'run-graph' has the option.",
    "--prune-unanchored-quanta": _MAKE_GRAPH,
    "--no-existing-outputs": _DONE,
    "--dataset-query-constraint": _QUERY,
    "--data-id-table": "select raws by an expression: 'rapid-exec run PIPELINE -b REPO -d WHERE'.",
    "-d": _DATA,
    "--data-query": _DATA,
    "-b": _REPOSITORY,
    "--butler-config": _REPOSITORY,
    "-i": _COLLECTIONS,
    "--input": _COLLECTIONS,
    "-o": _COLLECTIONS,
    "--output": _COLLECTIONS,
    "--output-run": _RUNS,
    "--replace-run": "use another -o; " + _RUNS,
    "--prune-replaced": "remove RUNs with 'butler prune-datasets' or 'butler remove-runs'.",
    "--rebase": "the inputs at the end of the output chain are those of -i at every start.",
    "--mock": _MOCK,
    "--mock-failure": _MOCK,
    "--unmocked-dataset-types": _MOCK,
    "--summary": _CHECKS,
    "--pdb": _DEBUG,
    "--debug": _DEBUG,
    "--profile": _PROFILE,
    "-j": "'run' and 'run-graph' have it, for the number of their worker processes; nothing is run here.",
    "--processes": "use -j/--workers of 'run' and 'run-graph', which stay warm.",
    "--start-method": "workers are always forked from a server that has imported everything.",
    "--timeout": "quantum_timeout in the site file limits a quantum of 'run'; 'run-graph' has --timeout.",
    "--fail-fast": "a failed shard never stops a run; 'run-graph' has --fail-fast.",
    "--raise-on-partial-outputs": "'run-graph' has it; 'run' always counts partial outputs as a failure.",
    "--no-raise-on-partial-outputs": "'run-graph' has it; 'run' always counts partial outputs as a failure.",
    "--graph-fixup": "the steps of the pipeline order its tasks; " + _GRAPH,
    "--enable-implicit-threading": _RESOURCES,
    "-n": _RESOURCES,
    "--cores-per-quantum": _RESOURCES,
    "--memory-per-quantum": _RESOURCES,
    "--skip-init-writes": "what tasks need of a RUN is always written, once for each RUN.",
    "--init-only": _START,
    "--register-dataset-types": _REGISTERED,
    "--no-versions": _VERSIONS,
    "--show": _SHOW,
    "--coverage": _COVERAGE,
    "--cov-report": _COVERAGE,
    "--no-cov-report": _COVERAGE,
    "--cov-packages": _COVERAGE,
    "-@": "the site file has the options of a place: 'rapid-exec run --site FILE'.",
    "--options-file": "the site file has the options of a place: 'rapid-exec run --site FILE'.",
    "--long-log": _LOGS,
    "--log-label": _LOGS,
    "--log-tty": _HEADLESS,
    "--no-log-tty": _HEADLESS,
}
"""By option, for each command that does not have it."""


def advise(option: str) -> str | None:
    """Return what to use in the place of an option of ``pipetask``; `None` if it has no such option."""
    return _ADVICE.get(option)
