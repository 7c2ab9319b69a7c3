"""A record of the tests that have passed, so that a long run which was stopped goes on after them."""

import inspect
import runpy
from hashlib import sha256
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
TESTHOSTS = PROJECT / "molecule/resources/testhosts.py"


class Record:
    """A pytest plugin. It holds for the role, the scenario and the tests as they are; a run that passes ends it."""

    def __init__(self, scenario):
        testhosts = runpy.run_path(str(TESTHOSTS))
        host = testhosts["digest_of"](*(PROJECT / path for path in (*testhosts["INGREDIENTS"], f"molecule/{scenario}")))
        names = "clients", "conftest", "traffic"
        tools = b"".join((PROJECT / f"molecule/{name}.py").read_bytes() for name in names)
        made_from = sha256(host.encode() + tools).hexdigest()[:12]
        self.path = PROJECT / ".molecule/reports" / f"{scenario}-passed-{made_from}"
        self.passed = set(self.path.read_text().splitlines()) if self.path.exists() else set()
        self.unfinished = {}

    @staticmethod
    def name_of(item):
        """The test as it is written: an edited one has not passed."""
        return f"{item.nodeid} {sha256(inspect.getsource(item.function).encode()).hexdigest()[:12]}"

    def pytest_collection_modifyitems(self, config, items):
        self.names = {item.nodeid: self.name_of(item) for item in items}
        done = [item for item in items if self.names[item.nodeid] in self.passed]
        if done:
            config.hook.pytest_deselected(items=done)
            items[:] = [item for item in items if item not in done]

    def pytest_runtest_logreport(self, report):
        """A test has passed when its fixtures have, too."""
        outcomes = self.unfinished.setdefault(report.nodeid, [])
        outcomes.append(report.outcome)
        if report.when == "teardown" and set(outcomes) == {"passed"}:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a") as record:
                record.write(self.names[report.nodeid] + "\n")

    def pytest_sessionfinish(self, exitstatus):
        if exitstatus == 0:
            self.path.unlink(missing_ok=True)
