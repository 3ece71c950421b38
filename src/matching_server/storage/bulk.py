"""Advisors by the thousand, put in past the use cases: nobody is told, running servers find them by polling."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import psycopg

from matching_server.domain.model import Advisor, AvailabilityPreferences
from matching_server.storage.database import Transaction
from matching_server.storage.json_values import preferences_to_json

_SEPARATOR = "\x1f"
"""Between the words of a list while it is staged: far cheaper to send than arrays. No word has it."""
_STAGE = """
    CREATE TEMP TABLE new_advisors (
        id uuid, email text, display_name text, skills text, specialties text, languages text, frameworks text,
        timezone text, rating double precision, slots integer, preferences jsonb
    ) ON COMMIT DROP
"""
_ADD_USERS = """
    INSERT INTO auth.users (id, email, timezone, roles)
    SELECT id, email, timezone, '{advisor}' FROM new_advisors ON CONFLICT DO NOTHING
"""
_ADD_ADVISORS = """
    INSERT INTO advisors (id, display_name, skills, specialties, languages, frameworks, timezone, rating)
    SELECT id, display_name, string_to_array(skills, E'\\x1f'), string_to_array(specialties, E'\\x1f'),
        string_to_array(languages, E'\\x1f'), string_to_array(frameworks, E'\\x1f'), timezone, rating
    FROM new_advisors ON CONFLICT DO NOTHING
"""
_ADD_AVAILABILITY = """
    INSERT INTO advisor_availability (advisor_id, max_concurrent_projects, availability_preferences)
    SELECT id, slots, preferences FROM new_advisors ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class NewAdvisor:
    """Somebody to put in, available from the start."""

    profile: Advisor
    slots: int
    preferences: AvailabilityPreferences


def add_advisors(tx: Transaction, newcomers: Sequence[NewAdvisor]) -> int:
    """Adds the advisors who are not there yet, as their users too; the others stay as they are.

    Returns:
        How many were added.
    """
    driver = tx.conn.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    with driver.cursor() as cursor:
        cursor.execute(_STAGE)
        with cursor.copy("COPY new_advisors FROM STDIN") as copy:
            for newcomer in newcomers:
                copy.write_row(_row(newcomer))
        cursor.execute(_ADD_USERS)
        added = cursor.execute(_ADD_ADVISORS).rowcount
        cursor.execute(_ADD_AVAILABILITY)
    return added


def _row(newcomer: NewAdvisor) -> tuple[object, ...]:
    profile = newcomer.profile
    return (
        profile.id.hex,
        profile.email,
        profile.display_name,
        _SEPARATOR.join(profile.skills),
        _SEPARATOR.join(profile.specialties),
        _SEPARATOR.join(profile.languages),
        _SEPARATOR.join(profile.frameworks),
        profile.timezone,
        profile.rating,
        newcomer.slots,
        json.dumps(preferences_to_json(newcomer.preferences)),
    )
