#!/usr/bin/env python3
"""List the scenarios of Molecule as a forge's matrix takes them: those on hosts, and those in containers."""

import json
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PLACES = {"hosts": "molecule", "containers": "molecule/containers"}


def names(place):
    return sorted(path.parent.name for path in (ROOT / PLACES[place]).glob("*/molecule.yml"))


if __name__ == "__main__":
    for place in PLACES:
        print(f"{place}={json.dumps(names(place))}")
