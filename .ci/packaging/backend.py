"""The build backend: setuptools, and before it a copy of BokehJS, which draws the reports.

Only Bokeh's script is wanted. Its Python half brings NumPy and more, so Bokeh is a requirement of the build and not of
the project: the script is copied from it into the package, where git ignores it.
"""

from __future__ import annotations

import shutil
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from setuptools import build_meta
from setuptools.build_meta import (  # noqa: F401 - the hooks that need no script
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
    get_requires_for_build_wheel,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

SCRIPTS = ("bokeh.min.js", "bokeh-api.min.js")
TARGET = Path(__file__).resolve().parents[2] / "scenarios" / "report" / "html" / "bokehjs"


def _copy_scripts() -> None:
    spec = find_spec("bokeh")
    if spec is None or spec.origin is None:
        raise SystemExit("Bokeh, whose script draws the reports, is missing from the build's requirements.")
    source = Path(spec.origin).parent / "server" / "static" / "js"
    TARGET.mkdir(exist_ok=True)
    for name in SCRIPTS:
        shutil.copyfile(source / name, TARGET / name)


def build_wheel(*arguments: Any, **options: Any) -> str:
    """Copy the scripts, then build a wheel."""
    _copy_scripts()
    return build_meta.build_wheel(*arguments, **options)


def build_editable(*arguments: Any, **options: Any) -> str:
    """Copy the scripts, then build what an editable install needs."""
    _copy_scripts()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # setuptools warns of folders named like packages, which is what they are
        return build_meta.build_editable(*arguments, **options)


def build_sdist(*arguments: Any, **options: Any) -> str:
    """Copy the scripts, then build a source distribution."""
    _copy_scripts()
    return build_meta.build_sdist(*arguments, **options)
