"""Advisors who do not exist, by the thousand: plausible, varied, and the same on every machine.

Who advisor ``number`` of a ``seed`` is depends on these two alone: more advisors begin with the same ones. Each
byte of a digest of the two draws one thing from a table in which what is frequent stands more often.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import TypeVar
from uuid import UUID

from matching_server.domain.model import Advisor, AvailabilityPreferences, ProjectComplexity
from matching_server.storage.bulk import NewAdvisor

T = TypeVar("T")
_Table = tuple[T, ...]
_BYTES = 256


def _weighted(*weighted: tuple[T, int]) -> _Table[T]:
    """A table to draw from by a byte; the weights are shares of 256."""
    table = tuple(value for value, weight in weighted for _ in range(weight))
    assert len(table) == _BYTES
    return table


def _skewed(*values: T) -> _Table[T]:
    """The same by Zipf's law: the second is half as frequent as the first, the third a third as frequent."""
    weights = [1 / place for place in range(1, len(values) + 1)]
    reaches = [sum(weights[: place + 1]) / sum(weights) for place in range(len(values))]
    return tuple(
        next(value for value, reach in zip(values, reaches, strict=True) if (byte + 0.5) / _BYTES < reach)
        for byte in range(_BYTES)
    )


def _listed(words: str) -> _Table[str]:
    return _skewed(*words.split(", "))


@dataclass(frozen=True, slots=True)
class _Region:
    zones: _Table[str]
    given: _Table[str]
    family: _Table[str]


@dataclass(frozen=True, slots=True)
class _Trade:
    language: str
    """The one that everybody in it knows."""
    languages: _Table[str]
    frameworks: _Table[str]


def _region(zones: str, given: str, family: str) -> _Region:
    return _Region(_skewed(*zones.split()), _skewed(*given.split()), _skewed(*family.split()))


def _trade(languages: str, frameworks: str) -> _Trade:
    return _Trade(languages.split(maxsplit=1)[0], _skewed(*languages.split()), _skewed(*frameworks.split()))


_REGIONS = _skewed(
    _region(
        "Europe/Berlin Europe/London Europe/Warsaw Europe/Paris Europe/Madrid Europe/Rome Europe/Amsterdam"
        " Europe/Lisbon Europe/Stockholm Europe/Kyiv Europe/Athens Europe/Helsinki Europe/Dublin",
        "Anna Lukas Sofia Jan Marta Tomasz Elena Pierre Ines Nikos Freya Oskar Chiara Mateusz Aoife Henrik",
        "Novak Schmidt Kowalski Rossi Martin Silva Andersson Virtanen Bakker Dubois Moreno Shevchenko Byrne",
    ),
    _region(
        "America/New_York America/Los_Angeles America/Chicago America/Toronto America/Denver"
        " America/Vancouver America/Phoenix America/Halifax America/St_Johns Pacific/Honolulu",
        "Emily James Olivia Michael Ava Daniel Grace Tyler Naomi Marcus Chloe Ethan Hannah Logan Ruth Caleb",
        "Smith Johnson Brown Miller Garcia Davis Tremblay Wilson Nguyen Clark Lewis Walker Begay Kealoha",
    ),
    _region(
        "Asia/Kolkata Asia/Karachi Asia/Dhaka Asia/Colombo Asia/Kathmandu Asia/Dubai Asia/Riyadh Asia/Tehran",
        "Priya Arjun Ananya Rahul Fatima Imran Kavya Vikram Nadia Farhan Meera Sanjay Leila Omar Tharushi",
        "Sharma Patel Singh Khan Iyer Rahman Gupta Reddy Perera Shrestha Haddad Das Qureshi Hosseini Menon",
    ),
    _region(
        "Asia/Shanghai Asia/Tokyo Asia/Singapore Asia/Seoul Asia/Manila Asia/Jakarta Asia/Ho_Chi_Minh"
        " Australia/Sydney Asia/Bangkok Pacific/Auckland Australia/Perth Australia/Adelaide",
        "Wei Yuki Min Hana Jun Mei Sakura Linh Budi Joon Aroha Siti Kenji Somchai Lian Minh",
        "Wang Li Tanaka Kim Zhang Santos Sato Park Tran Wijaya Chen Tan Suzuki Reyes Walker Srisai",
    ),
    _region(
        "America/Sao_Paulo America/Mexico_City America/Bogota America/Argentina/Buenos_Aires America/Lima"
        " America/Santiago America/Montevideo America/Caracas",
        "Maria Joao Camila Diego Valentina Santiago Lucia Mateo Gabriela Bruno Renata Andres Isabela Tomas",
        "Silva Gonzalez Rodriguez Santos Lopez Oliveira Fernandez Perez Souza Ramirez Torres Rojas Quispe",
    ),
    _region(
        "Africa/Lagos Africa/Nairobi Africa/Cairo Africa/Johannesburg Africa/Accra Africa/Casablanca"
        " Africa/Addis_Ababa Africa/Dakar Africa/Kigali",
        "Amara Chidi Wanjiru Kwame Zanele Youssef Nia Tunde Aisha Thabo Selam Moussa Adaeze Kofi Amina Juma",
        "Okafor Mwangi Hassan Dlamini Mensah Bello Diallo Okoye Otieno Abebe Nkosi Traore Mutesi Benali",
    ),
)
_TRADES = _skewed(
    _trade("typescript javascript php python", "react next.js vue angular svelte nuxt"),
    _trade("python sql typescript go", "django fastapi flask"),
    _trade("java kotlin sql scala", "spring quarkus micronaut"),
    _trade("typescript javascript sql go", "nestjs express fastify"),
    _trade("php javascript sql", "laravel symfony"),
    _trade("c# typescript sql", "asp.net blazor"),
    _trade("dart kotlin swift", "flutter"),
    _trade("go python sql", "gin echo"),
    _trade("typescript swift kotlin", "react-native"),
    _trade("ruby javascript sql", "rails"),
    _trade("kotlin java", "android"),
    _trade("swift c++", "swiftui"),
    _trade("rust c++ go", "axum actix"),
    _trade("elixir sql", "phoenix"),
)
_SKILLS = _listed(
    "payments, testing, performance, accessibility, security, reporting, realtime, data pipelines, search,"
    " internationalization, offline use, messaging, maps, identity, design systems, observability, forecasting,"
    " geospatial, animation, fraud detection, machine learning, mobile money, privacy, cryptography,"
    " right-to-left text, embedded devices"
)
_SPECIALTIES = _listed(
    "e-commerce, banking, health, logistics, education, media, energy, tourism, government, insurance, retail,"
    " games, agriculture, manufacturing, telecoms, publishing, climate, real estate, shipping, museums, mining,"
    " fisheries, disaster relief, wine"
)
_SLOTS = _weighted((3, 90), (2, 64), (1, 38), (4, 38), (5, 26))
_SEVERAL = _weighted((2, 120), (1, 80), (3, 56))
_MORE = _weighted((3, 110), (2, 70), (4, 50), (5, 26))
_C = ProjectComplexity
_COMPLEXITIES = _weighted(
    ((), 140),
    ((_C.MEDIUM, _C.COMPLEX), 36),
    ((_C.COMPLEX,), 30),
    ((_C.SIMPLE, _C.MEDIUM), 26),
    ((_C.SIMPLE,), 24),
)


def synthetic_advisor(seed: int, number: int) -> NewAdvisor:
    """The advisor of that number, 0 or more, among those of a seed."""
    digest = blake2b(f"{seed}/{number}".encode(), digest_size=64).digest()
    drawn = iter(digest[16:])
    region, trade = _REGIONS[next(drawn)], _TRADES[next(drawn)]
    given, family = region.given[next(drawn)], region.family[next(drawn)]
    languages = [trade.language, *_some(trade.languages, _SEVERAL, drawn)]
    frameworks = _some(trade.frameworks, _SEVERAL, drawn)
    if next(drawn) < _BYTES // 4:
        second = _TRADES[next(drawn)]
        languages.append(second.language)
        frameworks.append(second.frameworks[next(drawn)])
    profile = Advisor(
        id=UUID(bytes=digest[:16], version=4),
        display_name=f"{given} {family}",
        email=f"{given}.{family}.{seed}-{number}@example.com".lower(),
        timezone=region.zones[next(drawn)],
        languages=_different(languages),
        frameworks=_different(frameworks),
        skills=_different(_some(_SKILLS, _MORE, drawn)),
        specialties=_different(_some(_SPECIALTIES, _SEVERAL, drawn)),
        rating=_rating(next(drawn)),
    )
    preferences = AvailabilityPreferences(
        auto_accept=next(drawn) < _BYTES // 50,
        preferred_complexity=_COMPLEXITIES[next(drawn)],
        preferred_frameworks=profile.frameworks[:1] if next(drawn) < _BYTES // 3 else (),
    )
    return NewAdvisor(profile, _SLOTS[next(drawn)], preferences)


def _some(table: _Table[str], count: _Table[int], drawn: Iterator[int]) -> list[str]:
    return [table[next(drawn)] for _ in range(count[next(drawn)])]


def _different(words: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(words))


def _rating(byte: int) -> float | None:
    """Mostly near 5, never under 3; a few have none yet."""
    return None if byte < _BYTES // 20 else round(5 - 2 * (byte / _BYTES) ** 3, 1)
