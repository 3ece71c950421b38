from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.client.scripted import KEY_ID, SECRET, ScriptedServer


@pytest.fixture(autouse=True)
def _the_scripted_server_is_the_one(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whoever asks by the environment alone reaches the scripted server."""
    monkeypatch.chdir(tmp_path)
    for name in ("CONNECTION_FILE", "USER_ID", "EMAIL", "ROLES"):
        monkeypatch.delenv(f"MATCHING_{name}", raising=False)
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MATCHING_ADDRESS", server.address)
    monkeypatch.setenv("MATCHING_KEY_ID", KEY_ID)
    monkeypatch.setenv("MATCHING_SECRET", SECRET)
    monkeypatch.setenv("COLUMNS", "100")
