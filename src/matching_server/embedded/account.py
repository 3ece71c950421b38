"""Whom the servers run as, and the files that are theirs.

An ordinary user runs them as himself, and nothing here does anything. Root lends them another account: the
owner of the server's home directory, which is chosen once, when that directory is made.
"""

import os
import pwd
import stat
import sys
from collections.abc import Sequence
from io import BufferedWriter
from pathlib import Path
from typing import Literal

from matching_server.embedded.errors import EmbeddedError

_LAUNCHER = Path(__file__).with_name("launch.py")
# An account made for the purpose, where the machine has it, is better than one that is everybody's.
_ACCOUNTS = ("postgres", "nobody")


def make_data_directory(path: Path) -> None:
    """Makes the data directory, private; but for root, since the lent account has to pass through."""
    path.mkdir(mode=0o711 if _is_root() else 0o700, parents=True, exist_ok=True)


def make_home(path: Path) -> None:
    """Makes a server's home directory, private to the account that the server will run as."""
    path.mkdir(mode=0o700, exist_ok=True)
    owner = path.stat().st_uid
    if _is_root() and owner == 0:
        account = _account_to_lend()
        os.chown(path, account.pw_uid, account.pw_gid)
    elif not _is_root() and owner != os.geteuid():
        raise EmbeddedError(f"the directory {path} belongs to another user")


def open_owned(path: Path, mode: Literal["wb", "ab"]) -> BufferedWriter:
    """Opens a file for writing that belongs to the owner of its directory, and that nobody else can read."""
    file = open(path, mode, opener=lambda name, flags: os.open(name, flags, 0o600))  # noqa: SIM115 - the caller's to close
    if _is_root():
        owner = path.parent.stat()
        os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
    return file


def launched(command: Sequence[str], *, home: Path, death_signal: int) -> list[str]:
    """The command line that runs a command as the owner of `home`, for as long as this process lives."""
    owner = home.stat()
    reachable = all(_open_to(owner, Path(path)) for path in (command[0], home))
    numbers = (os.getpid(), owner.st_uid, owner.st_gid, int(not reachable), death_signal)
    # -I -S: nothing of the user's environment or of site-packages is loaded, or waited for.
    return [sys.executable, "-I", "-S", str(_LAUNCHER), *map(str, numbers), *command]


def _is_root() -> bool:
    return os.geteuid() == 0


def _account_to_lend() -> pwd.struct_passwd:
    for name in _ACCOUNTS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise EmbeddedError(
        f"Postgres does not run as root, and there is no account {' or '.join(_ACCOUNTS)} to lend it"
    )


def _open_to(owner: os.stat_result, path: Path) -> bool:
    """Whether every directory on the way lets the account pass, and it may read what is at the end."""
    real = path.resolve()
    passable = all(_grants(parent, owner, stat.S_IXOTH) for parent in real.parents)
    return passable and _grants(real, owner, stat.S_IROTH | stat.S_IXOTH)


def _grants(path: Path, owner: os.stat_result, wanted: int) -> bool:
    """Whether the mode gives the account what is wanted (bits of `others`); a group's rights don't count."""
    status = path.stat()
    granted = status.st_mode >> 6 if status.st_uid == owner.st_uid else status.st_mode
    return granted & wanted == wanted
