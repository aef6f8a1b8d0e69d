"""What a package needs to be adopted: its license, its version said alike everywhere, its types."""

import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_the_license_is_there_in_full():
    text = (ROOT / "LICENSE").read_text()
    assert PROJECT["project"]["license"] == "Apache-2.0"
    assert PROJECT["project"]["license-files"] == ["LICENSE"]
    assert "Version 2.0, January 2004" in text
    assert "9. Accepting Warranty or Additional Liability." in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_the_version_is_the_same_everywhere():
    version = PROJECT["project"]["version"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert (citation["version"], citation["license"]) == (version, "Apache-2.0")
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert f"\n## {version}" in (ROOT / "CHANGELOG.md").read_text()


def test_type_checkers_are_told_that_there_are_types():
    data = PROJECT["tool"]["setuptools"]["package-data"]
    for package in ("rl", "rewards"):
        assert "py.typed" in data[package]
        assert (ROOT / package / "py.typed").read_text() == ""
