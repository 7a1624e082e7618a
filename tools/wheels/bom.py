"""The software bill of materials in a wheel (PEP 770): CycloneDX, with what the core links."""

from __future__ import annotations

import datetime
import json
import re
import subprocess
import uuid
from pathlib import Path
from typing import Any

from tools import third_party
from tools.wheels import archive
from tools.wheels.target import Target

NAMESPACE = uuid.UUID("5f1a8f5e-4f0c-5c54-9b7b-3b3c9a4b7e11")
_DEPENDENCY = re.compile(r"^\s+dep\s+(\S+)\s+(\S+)\s+(\S+)", re.MULTILINE)


def write(version: str, target: Target, core: Path, headers: str) -> bytes:
    """The document for a wheel, as JSON."""
    name = "hypern-database"
    wheel = f"pkg:pypi/{name}@{version}"
    components = [_component(module) for module in linked(core)]
    when = datetime.datetime.fromtimestamp(archive.epoch(), datetime.timezone.utc)
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(NAMESPACE, target.file_name(version))}",
        "version": 1,
        "metadata": {
            "timestamp": when.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": {
                "type": "library",
                "bom-ref": wheel,
                "name": name,
                "version": version,
                "purl": wheel,
                "licenses": [{"license": {"id": "MIT"}}],
            },
            "properties": [
                {"name": "hypern:cpython-headers", "value": headers},
                {"name": "hypern:wheel", "value": target.file_name(version)},
            ],
        },
        "components": components,
        "dependencies": [
            {"ref": wheel, "dependsOn": [component["bom-ref"] for component in components]},
            *({"ref": component["bom-ref"]} for component in components),
        ],
    }
    return (json.dumps(document, indent=2) + "\n").encode()


def linked(core: Path) -> list[third_party.Module]:
    """The modules that the core itself names; each must be one whose licence is known."""
    done = subprocess.run(
        ["go", "version", "-m", str(core)], capture_output=True, text=True, check=True
    )
    inside = {path: version for path, version, _ in _DEPENDENCY.findall(done.stdout)}
    known = third_party.modules()
    if inside != {module.path: module.version for module in known if module.path != "std"}:
        raise SystemExit(f"{core} links other modules than tools/third_party.py lists: {inside}")
    return known


def _component(module: third_party.Module) -> dict[str, Any]:
    purl = f"pkg:golang/{module.path}@{module.version}"
    return {
        "type": "library",
        "bom-ref": purl,
        "name": module.path,
        "version": module.version,
        "purl": purl,
        "licenses": [{"license": {"id": module.licence}}],
    }
