"""Gets the broker's jars from Maven Central and refuses any that are not the committed ones."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from deploy.local.errors import LocalStackError

DEFAULT_VERSION = "4.4.0"
VERSIONS = ("4.4.0", "4.3.1")

CONFIG_DIR = Path(__file__).parent / "kafka"
_COPY_GOAL = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"


def lock_path(version: str) -> Path:
    """The committed checksums (the format of sha256sum) of one version's jars."""
    suffix = "" if version == DEFAULT_VERSION else f"-{version}"
    return CONFIG_DIR / f"libs{suffix}.sha256"


def ensure_libs(cache: Path, version: str) -> Path:
    """The folder with exactly the locked jars, downloaded if need be. Hashes every jar at every call.

    Raises:
        LocalStackError: unknown version, Maven missing, download failed, or a jar is not the locked one.
    """
    lock_file = lock_path(version)
    if not lock_file.exists():
        known = ", ".join(VERSIONS)
        raise LocalStackError(f"Kafka {version} is not among the versions with locked jars ({known}).")
    expected = lock_file.read_text()
    libs = cache / f"kafka-{version}" / "libs"
    libs.parent.mkdir(parents=True, exist_ok=True)
    with (libs.parent / "libs.lock").open("a") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not libs.exists():
            download(libs, version)
            # An archive of classes is tied to the files it was made from.
            for archive in libs.parent.glob("*.jsa"):
                archive.unlink()
    if checksums(libs) != expected:
        raise LocalStackError(
            f"The jars in {libs} are not the ones locked in {lock_file.name}: remove that folder to download them "
            "again; if it stays so, do not run them."
        )
    return libs


def download(libs: Path, version: str) -> None:
    """Fetch one version's jars into the new folder `libs`, all or nothing."""
    maven = shutil.which("mvn")
    if maven is None:
        raise LocalStackError("Maven is missing, which fetches Kafka's jars once: apt-get install maven")
    java()
    with tempfile.TemporaryDirectory(dir=libs.parent) as draft:
        target = Path(draft) / "libs"
        # -C makes a checksum that differs from the repository's an error.
        command = [maven, "-B", "-q", "-C", "-f", str(CONFIG_DIR / "pom.xml"), f"-Dkafka.version={version}"]
        command += [_COPY_GOAL, "-DincludeScope=runtime", f"-DoutputDirectory={target}"]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            lines = (result.stdout + result.stderr).strip().splitlines() or ["Maven said nothing"]
            raise LocalStackError(f"Kafka {version} could not be downloaded: {lines[0][:300]}")
        target.rename(libs)


def checksums(libs: Path) -> str:
    """What `sha256sum *.jar` prints in that folder."""
    lines = []
    for jar in sorted(libs.iterdir(), key=lambda path: path.name):
        with jar.open("rb") as content:
            lines.append(f"{hashlib.file_digest(content, 'sha256').hexdigest()}  {jar.name}\n")
    return "".join(lines)


def relock(cache: Path) -> None:
    """Download every version afresh and write its checksums: a decision to trust, so its diff is to be read."""
    cache.mkdir(parents=True, exist_ok=True)
    for version in VERSIONS:
        with tempfile.TemporaryDirectory(dir=cache) as draft:
            libs = Path(draft) / "libs"
            download(libs, version)
            lock_path(version).write_text(checksums(libs))


def class_path(libs: Path) -> str:
    """The jars in a fixed order: `libs/*` would follow the directory's, which the class archive must match."""
    return os.pathsep.join(str(jar) for jar in sorted(libs.glob("*.jar")))


def java() -> Path:
    """The Java to run, from JAVA_HOME or else the PATH.

    Raises:
        LocalStackError: there is none.
    """
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=str(Path(home) / "bin") if home else None)
    if found is None:
        raise LocalStackError(
            "Java 17 or newer is missing, which runs Kafka: apt-get install openjdk-17-jre-headless"
        )
    return Path(found).resolve()
