"""Writes `leadgate/v1/`, the Python side of the wire contract, from `protos/`.

The only way that folder is written. Run it after every change of a `.proto`:

    python scripts/gen_protos.py [--output DIR]

The compiler is pinned (`grpcio-tools` in pyproject.toml), because its version is
the lowest that users of the generated code can run.
"""

from __future__ import annotations

import argparse
import shutil
from importlib.resources import files
from pathlib import Path

import google.rpc.status_pb2
from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = Path("leadgate/v1")
DOCSTRING = '"""The wire contract, generated from protos/leadgate/v1 by scripts/gen_protos.py."""\n'


def generate(output: Path) -> None:
    """Writes the package below `output`, replacing what was there."""
    target = output / PACKAGE
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    (target / "__init__.py").write_text(DOCSTRING)
    protos = sorted((ROOT / "protos" / PACKAGE).glob("*.proto"))
    services = [path for path in protos if path.stem.endswith("_service")]
    _compile(protos, f"--python_out={output}", f"--pyi_out={output}")
    _compile(services, f"--grpc_python_out={output}")


def _compile(protos: list[Path], *outputs: str) -> None:
    """Runs protoc; `google/rpc/status.proto` comes from googleapis-common-protos."""
    includes = [
        ROOT / "protos",
        Path(str(files("grpc_tools") / "_proto")),
        Path(google.rpc.status_pb2.__file__).parents[2],
    ]
    arguments = ["protoc", *(f"-I{path}" for path in includes), *outputs]
    if protoc.main(arguments + [str(path) for path in protos]) != 0:
        raise SystemExit("protoc refused the files above")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=ROOT, help="folder that holds leadgate/")
    generate(parser.parse_args().output)
