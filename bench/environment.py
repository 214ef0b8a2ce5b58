"""Setting up: the peers' environment, the C programs, and what the system has to bring.

Charter: `set_up()` makes all that a run needs and says in words what is missing; `versions()` lists
what a run was made with. Nothing here measures.
"""

import json
import os
import platform
import re
import shutil
import subprocess
import venv
from pathlib import Path

from bench.paths import BENCH, BUILD, ENVIRONMENT, LOAD, PYTHON, REPOSITORY, SERVERS

C_PROGRAMS = (
    LOAD / "echo_load.c",
    LOAD / "accept_load.c",
    LOAD / "idle_load.c",
    LOAD / "ws_load.c",
    SERVERS / "echo_epoll.c",
)
MEASURED = ("coop", "bench", ":!bench/results")
SYSTEM_TOOLS = {
    "wrk": "no HTTP load, so no http work: apt install wrk",
    "nginx": "the limit of the http work is left out: apt install nginx-light",
    "node": "Node is left out: apt install nodejs",
}
VERSION_COMMANDS = {
    "gcc": ("gcc", "--version"),
    "wrk": ("wrk", "--version"),
    "nginx": ("nginx", "-v"),
    "node": ("node", "--version"),
}


class SetupError(Exception):
    """Something without which no work can run is missing; the message says the remedy."""


def set_up() -> None:
    """Install the peers, compile the C programs, and say what is missing."""
    compile_programs()
    make_environment()
    for requirement in requirements():
        install(requirement)
    for tool, consequence in SYSTEM_TOOLS.items():
        if shutil.which(tool) is None:
            print(f"missing: {tool}: {consequence}")


def require_set_up() -> None:
    """Raise SetupError unless `set_up` has been here."""
    missing = [path for path in (PYTHON, *map(compiled, C_PROGRAMS)) if not path.exists()]
    if missing:
        names = ", ".join(str(path.relative_to(REPOSITORY)) for path in missing)
        raise SetupError(f"{names} not there: run `python -m bench setup` first")


def compile_programs() -> None:
    """Compile the load programs and the C server; raises SetupError without a compiler."""
    if shutil.which("gcc") is None:
        raise SetupError("gcc is missing, and the load programs are C: apt install gcc libc6-dev")
    BUILD.mkdir(exist_ok=True)
    for source in C_PROGRAMS:
        command = ["gcc", "-O2", "-Wall", "-Wextra", "-o", str(compiled(source)), str(source)]
        if subprocess.run(command).returncode:
            raise SetupError(f"gcc could not compile {source.name}; its messages are above")
        print(f"compiled: {source.relative_to(BENCH)}")


def compiled(source: Path) -> Path:
    """Return where the program made from `source` lies."""
    return BUILD / source.stem


def make_environment() -> None:
    """Create the virtual environment of the peers unless it is there."""
    if not PYTHON.exists():
        venv.create(ENVIRONMENT, with_pip=True)


def requirements() -> list[str]:
    """Return the lines of requirements.txt without comments."""
    lines = (BENCH / "requirements.txt").read_text().splitlines()
    return [name for line in lines if (name := line.partition("#")[0].strip())]


def install(requirement: str) -> None:
    """Install one peer; where that fails, say why and go on."""
    command = [str(PYTHON), "-m", "pip", "install", "--quiet", "--upgrade", requirement]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode == 0:
        print(f"installed: {requirement}")
        return
    errors = [line.strip() for line in result.stderr.splitlines() if "rror" in line]
    print(f"left out: {requirement}: {errors[-1] if errors else 'pip failed'}")


def versions() -> dict[str, str]:
    """Return the version of everything that takes part in a run, by name."""
    script = (
        "import json, platform, importlib.metadata as m;"
        "found = {d.metadata['Name']: d.version for d in m.distributions()};"
        "print(json.dumps({'python': platform.python_version(), **found}))"
    )
    answer = subprocess.run([str(PYTHON), "-c", script], capture_output=True, text=True, check=True)
    found = json.loads(answer.stdout)
    wanted = {"python", *(name.lower() for name in requirements())}
    listed = {name: version for name, version in found.items() if name.lower() in wanted}
    return {**listed, **tool_versions(), "coop": coop_version()}


def tool_versions() -> dict[str, str]:
    """Return the versions of the programs that do not come from pip."""
    listed = {"linux": platform.release()}
    for name, command in VERSION_COMMANDS.items():
        if shutil.which(command[0]):
            answer = subprocess.run(command, capture_output=True, text=True)
            number = re.search(r"\d+\.\d+[.\d]*", answer.stdout + answer.stderr)
            listed[name] = number.group() if number else "unknown"
    return listed


def coop_version() -> str:
    """Return the commit of this checkout, with a plus where what is measured was changed since."""
    git = ["git", "-C", str(REPOSITORY)]
    commit = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    changed = subprocess.run(
        [*git, "status", "--porcelain", "--untracked-files=no", "--", *MEASURED],
        capture_output=True,
        text=True,
    )
    return (commit.stdout.strip() or "unknown") + ("+" if changed.stdout.strip() else "")


def machine() -> dict[str, str]:
    """Return what the run stands on, and how busy that is as it begins."""
    cpuinfo = Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*: (.*)", cpuinfo)
    cores = len(re.findall(r"^processor", cpuinfo, re.MULTILINE))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": model.group(1) if model else platform.machine(),
        "cores": str(cores),
        "memory": f"{memory / 2**30:.0f} GiB",
        "load average": f"{os.getloadavg()[0]:.2f}",
    }
