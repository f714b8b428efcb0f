"""What tools/setup.sh needs beyond a shell and pip: lock, download, unpack, link.

    fetch_libtorch.py lock DESCRIPTOR              waits until this process group holds the lock
    fetch_libtorch.py download NAME==VERSION INTO  fetches one wheel from the package index
    fetch_libtorch.py unpack NAME==VERSION FROM INTO
    fetch_libtorch.py link TARGET LINK             makes or replaces a symbolic link in one step

Standard library only, any Python from 3.7 on. `download` is for machines without pip: it reads the
index that PIP_INDEX_URL or pip's configuration file names (its JSON pages), takes a download up
again where it was cut off, and checks the file's SHA-256. Standard error carries progress (on a
terminal) and, when something is wrong, one line that begins with `spec: `; the exit status is
then 2. It resolves no dependencies, and imports and runs nothing of what it fetches.
"""
import configparser
import errno
import fcntl
import hashlib
import http.client
import json
import os
import platform
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile

BLOCK = 1 << 20
JSON_PAGE = "application/vnd.pypi.simple.v1+json"
ATTEMPTS = 5
TIMEOUT = 30


class SetupError(Exception):
    """One line for the person at the terminal: the cause, and what to do."""


class Progress:
    """A line that is written over while bytes go by; silent where nobody watches."""

    def __init__(self, verb, name, total):
        self.text, self.total, self.shown = f"{verb} {name}", total or 1, -1

    def show(self, done):
        percent = 100 * done // self.total
        if sys.stderr.isatty() and percent != self.shown:
            self.shown = percent
            sys.stderr.write(f"\r  {self.text}: {percent} % of {self.total / 1e6:.0f} MB ")
            sys.stderr.flush()

    def end(self):
        if self.shown >= 0:
            sys.stderr.write("\n")


# --- lock ---------------------------------------------------------------------------------------

def lock(descriptor):
    """Locks the caller's open file: the lock goes when the last process that holds it ends."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("spec: another start is setting up libtorch: waiting for it", file=sys.stderr)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError:
        pass  # A file system without locks: go on, as every other tool there does.


# --- download -----------------------------------------------------------------------------------

def index_url():
    """The package index in pip's settings: the environment first, then the usual files."""
    parser = configparser.ConfigParser(interpolation=None)
    home = os.path.expanduser("~")
    config = os.environ.get("XDG_CONFIG_HOME", os.path.join(home, ".config"))
    parser.read([
        "/etc/pip.conf",
        os.path.join(home, "Library/Application Support/pip/pip.conf"),
        os.path.join(home, ".pip/pip.conf"),
        os.path.join(config, "pip/pip.conf"),
    ])
    url = os.environ.get("PIP_INDEX_URL") or parser.get("global", "index-url", fallback="")
    if not url:
        raise SetupError(
            "neither pip nor venv is installed, and PIP_INDEX_URL names no package index: install "
            "one (Debian, Ubuntu: apt install python3-pip; Fedora: dnf install python3-pip) and "
            "start again")
    return url.rstrip("/")


def opened(url, **headers):
    """The response to a GET, with what went wrong said in the project's words."""
    request = urllib.request.Request(url, headers={"User-Agent": "spec-setup", **headers})
    return urllib.request.urlopen(request, timeout=TIMEOUT)


def index_files(project):
    """The files that the index lists for one project."""
    url = f"{index_url()}/{project}/"
    try:
        with opened(url, Accept=JSON_PAGE) as response:
            files = json.load(response)["files"]
            base = response.geturl()
    except (ValueError, KeyError):
        raise SetupError(f"{url} is no JSON page of a package index: correct PIP_INDEX_URL, or "
                         "install pip") from None
    except OSError as error:
        raise SetupError(unreachable(url, error)) from None
    return [dict(file, url=urllib.parse.urljoin(base, file["url"])) for file in files]


def unreachable(url, error):
    host = urllib.parse.urlsplit(url).hostname
    reason = getattr(error, "reason", None) or error
    return (f"cannot fetch from {host} ({reason}): check the network (or PIP_INDEX_URL, "
            "HTTPS_PROXY) and start again; what is complete is kept for the next start")


def runs_here(filename):
    """Whether a wheel's platform tag fits this machine, whatever Python it is for."""
    machine, system = platform.machine(), platform.system()
    tags = filename[: -len(".whl")].split("-")[-1].split(".")
    if "any" in tags:
        return True
    for tag in tags:
        linux = re.fullmatch(rf"manylinux(?:_2_(\d+)|(1|2010|2014))_{machine}", tag)
        if system == "Linux" and linux:
            needs = int(linux[1]) if linux[1] else {"1": 5, "2010": 12, "2014": 17}[linux[2]]
            name, libc = platform.libc_ver()
            if name == "glibc" and int(libc.split(".")[1]) >= needs:
                return True
        mac = re.fullmatch(rf"macosx_(\d+)_\d+_(?:{machine}|universal2)", tag)
        if system == "Darwin" and mac:
            if int(platform.mac_ver()[0].split(".")[0]) >= int(mac[1]):
                return True
    return False


def pick(files, requirement):
    """The wheel to take: one that runs here, for this Python where there is a choice."""
    own = f"cp{sys.version_info[0]}{sys.version_info[1]}"
    found = [file for file in files if file["filename"].startswith(wheel_prefix(requirement))
             and file["filename"].endswith(".whl") and not file.get("yanked")
             and runs_here(file["filename"])]
    if not found:
        raise SetupError(
            f"the package index has no {requirement} for {platform.system()} "
            f"{platform.machine()}: libtorch runs on 64-bit Linux with glibc 2.28 or newer and on "
            "macOS 14 or newer with Apple silicon; or set LIBTORCH to a libtorch of your own")
    return max(found, key=lambda file: (f"-{own}-" in file["filename"], file["filename"]))


def wheel_prefix(requirement):
    name, version = requirement.split("==")
    return f"{re.sub('[-_.]+', '_', name)}-{version}-"


def download(requirement, folder):
    file = pick(index_files(requirement.split("==")[0]), requirement)
    path = os.path.join(folder, file["filename"])
    partial = path + ".partial"
    digest = file.get("hashes", {}).get("sha256")
    if os.path.exists(path):
        return
    for _ in range(2):
        fetch_whole(file["url"], partial)
        if digest is None or sha256(partial) == digest:
            os.replace(partial, path)
            return
        os.remove(partial)  # An older attempt left something else: once more, from the start.
    raise SetupError(f"{file['filename']} arrives damaged (its SHA-256 differs from the index's): "
                     "try another network or package index")


def fetch_whole(url, partial):
    """Appends to `partial` until the file is whole; gives up when attempts bring nothing more."""
    failures = 0
    while True:
        before = size_of(partial)
        try:
            if fetch_rest(url, partial):
                return
            error = "the connection broke off"
        except urllib.error.HTTPError as refused:
            if refused.code < 500:
                raise SetupError(unreachable(url, refused)) from None
            error = refused
        except (http.client.HTTPException, OSError) as broken:
            if getattr(broken, "errno", None) == errno.ENOSPC:
                raise
            error = broken
        failures = 0 if size_of(partial) > before else failures + 1
        if failures == ATTEMPTS:
            raise SetupError(unreachable(url, error))
        time.sleep(failures)


def fetch_rest(url, partial):
    """One request for what is missing. True when the server has sent its last byte."""
    done = size_of(partial)
    headers = {"Range": f"bytes={done}-"} if done else {}
    try:
        response = opened(url, **headers)
    except urllib.error.HTTPError as refused:
        if refused.code == 416:  # Nothing lies beyond what is here; the checksum will tell.
            return True
        raise
    with response, open(partial, "ab" if response.status == 206 else "wb") as out:
        done = out.tell()
        total = done + int(response.headers.get("Content-Length", 0))
        progress = Progress("fetching", os.path.basename(partial)[: -len(".partial")], total)
        while True:
            block = response.read(BLOCK)
            if not block:
                break
            out.write(block)
            done += len(block)
            progress.show(done)
        progress.end()
    return done >= total


def size_of(path):
    return os.path.getsize(path) if os.path.exists(path) else 0


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(BLOCK), b""):
            digest.update(block)
    return digest.hexdigest()


# --- unpack, link -------------------------------------------------------------------------------

def unpack(requirement, folder, site):
    prefix = wheel_prefix(requirement)
    names = [name for name in os.listdir(folder)
             if name.startswith(prefix) and name.endswith(".whl")]
    if not names:
        raise SetupError(f"no wheel of {requirement} was fetched: see setup.log in .venv")
    path = os.path.join(folder, names[0])
    try:
        with zipfile.ZipFile(path) as wheel:
            members = [member for member in wheel.infolist() if not member.is_dir()]
            progress = Progress("unpacking", requirement, sum(m.file_size for m in members))
            done = 0
            for member in members:
                unpack_file(wheel, member, site)
                done += member.file_size
                progress.show(done)
            progress.end()
    except (zipfile.BadZipFile, EOFError, ValueError, zipfile.zlib.error):
        os.remove(path)
        raise SetupError(f"the wheel of {requirement} was damaged on this disk and is removed: "
                         "start again, and it is fetched anew") from None


def unpack_file(wheel, member, site):
    """Writes one file with its permissions. An older one is unlinked, not overwritten: a program
    that runs may have it mapped."""
    parts = member.filename.split("/")
    if parts[0].endswith(".data"):
        if parts[1] not in ("purelib", "platlib"):
            return
        parts = parts[2:]
    if os.path.isabs(member.filename) or ".." in parts:
        raise ValueError(member.filename)
    target = os.path.join(site, *parts)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if os.path.lexists(target):
        os.unlink(target)
    mode = (member.external_attr >> 16) & 0o777
    with wheel.open(member) as packed, open(target, "wb") as out:
        for block in iter(lambda: packed.read(BLOCK), b""):
            out.write(block)
        os.chmod(target, mode or 0o644)


def link(target, path):
    new = path + ".new"
    if os.path.lexists(new):
        os.unlink(new)
    os.symlink(target, new)
    os.replace(new, path)


def main(arguments):
    command, *rest = arguments
    if command == "lock":
        lock(int(rest[0]))
    elif command == "download":
        download(*rest)
    elif command == "unpack":
        unpack(*rest)
    elif command == "link":
        link(*rest)
    else:
        raise SetupError(f"fetch_libtorch.py: no command {command}")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit(130)
    except SetupError as error:
        sys.exit(print(f"\r\033[Kspec: {error}" if sys.stderr.isatty() else f"spec: {error}",
                       file=sys.stderr) or 2)
    except OSError as error:
        hint = "make room and start again" if error.errno == errno.ENOSPC else "start again"
        print(f"spec: {error.strerror or error} ({error.filename or sys.argv[-1]}): {hint}; what "
              "is complete is kept for the next start", file=sys.stderr)
        sys.exit(2)
