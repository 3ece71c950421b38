"""Becomes a database server: drops root, binds its life to its parent's, and replaces itself by the command.

`process.py` runs this file as a script, in a process of its own, because none of these steps can be taken
safely in the forked copy of a process with threads. What only Linux can do is left out elsewhere.

Usage: python launch.py PARENT_PID UID GID FILE_ACCESS DEATH_SIGNAL COMMAND [ARGUMENT...]
"""

import ctypes
import os
import sys

# From linux/prctl.h, linux/securebits.h and linux/capability.h.
_PR_SET_PDEATHSIG = 1
_PR_SET_SECUREBITS = 28
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_SECBIT_NO_SETUID_FIXUP = 1 << 2
_CAPABILITY_VERSION_3 = 0x20080522
_CAP_DAC_OVERRIDE = 1


def _call(function: str, *arguments: object) -> None:
    """Calls the C library and raises OSError where it answers with an error."""
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, function)(*arguments) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{function}: {os.strerror(code)}")


def _prctl(option: int, value: int, extra: int = 0) -> None:
    _call("prctl", *(ctypes.c_ulong(number) for number in (option, value, extra, 0, 0)))


def become(uid: int, gid: int, *, keep_file_access: bool) -> None:
    """Drops root for good.

    With keep_file_access, root's reach in the file system is all that is kept (Linux). A checkout or a data
    directory below `/root` is closed to every other account, and to open it for everybody would be worse.
    NO_SETUID_FIXUP, since access(2), by which Postgres looks for its own files, would otherwise leave the
    capability out of account.
    """
    if keep_file_access:
        _prctl(_PR_SET_SECUREBITS, _SECBIT_NO_SETUID_FIXUP)
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    if keep_file_access:
        header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
        mask = 1 << _CAP_DAC_OVERRIDE
        # Effective, permitted, inheritable; once for capabilities 0 to 31 and once for the rest.
        _call("capset", header, (ctypes.c_uint32 * 6)(mask, mask, mask, 0, 0, 0))
        _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_OVERRIDE)


def die_with(parent: int, death_signal: int) -> None:
    """Asks the kernel for a signal when the parent is gone, whatever ended it."""
    if sys.platform == "linux":
        _prctl(_PR_SET_PDEATHSIG, death_signal)
    if os.getppid() != parent:
        sys.exit("the parent process is gone")


def main() -> None:
    """Does the steps in the order that they need: a change of user clears the parent-death signal."""
    parent, uid, gid, file_access, death_signal = (int(word) for word in sys.argv[1:6])
    command = sys.argv[6:]
    if os.geteuid() != uid:
        try:
            become(uid, gid, keep_file_access=bool(file_access))
        except OSError as error:
            sys.exit(f"error: root could not hand over to account {uid} in this directory: {error}")
    die_with(parent, death_signal)
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
