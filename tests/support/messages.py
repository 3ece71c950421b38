"""Requests that nobody would write by hand: strategies over the contract's own descriptors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

T = TypeVar("T")
IN_FLIGHT = 16
"""Calls that are made at once."""
_AT_ONCE = 320
_OFFSPRING = 15
_DEPTH = 4
_MANY = (51, 501, 10_000)
"""Entries of a list, beyond its bounds."""
_ROOM = 400_000
"""Bytes that a list may take."""
_LONG = (65, 129, 2_001, 50_000)
_WORDS = (
    "",
    " ",
    "\0",
    "a\0b",
    "\n\r\t\x1b[31m",
    "\ufeff\u202eabc\u200b",
    "\U0010ffff\ud7ff\ue000",
    "e\u0301" * 40,
    "'; DROP TABLE projects; --",
    "%s %(id)s {0} ${jndi:ldap://x}",
    "../../etc/passwd",
    "null",
    "00000000-0000-0000-0000-000000000000",
    "FFFFFFFF-FFFF-4FFF-BFFF-FFFFFFFFFFFF",
    "{ffffffff-ffff-4fff-bfff-ffffffffffff}",
    "Europe/Vienna",
    "advisor.matched",
)
_NUMBERS = (0, 1, -1, 2, 50, 200, 201, 10_000)
_STRINGS = st.one_of(
    *[st.sampled_from(_WORDS)] * 3, st.text(max_size=20), st.builds(lambda n: "x" * n, st.sampled_from(_LONG))
)
_FLOATS = st.floats() | st.sampled_from((0.0, -0.0, 1e-320, 1e308, -1.0, 100.0))
_SCALARS: Mapping[int, SearchStrategy[Any]] = {
    FieldDescriptor.TYPE_STRING: _STRINGS,
    FieldDescriptor.TYPE_BOOL: st.booleans(),
    FieldDescriptor.TYPE_DOUBLE: _FLOATS,
    FieldDescriptor.TYPE_INT32: st.sampled_from(_NUMBERS) | st.integers(-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_INT64: st.sampled_from(_NUMBERS) | st.integers(-(2**63), 2**63 - 1),
}
"""By the types that the contract's requests have; a new one is an error here."""


def batches(
    strategy: SearchStrategy[T], count: int, breed: Callable[[Sequence[T]], T] | None = None
) -> Iterator[list[T]]:
    """So many values, ``IN_FLIGHT`` at a time.

    Hypothesis makes them and no more: a server changes with what it is sent, so nothing can be tried again smaller. It
    takes longer for one than a server does; ``breed`` makes more out of those that there are, for nearly nothing.
    """
    left = count
    while left > 0:
        found = _examples(strategy, min(_AT_ONCE, left))
        if breed is not None:
            found += [breed(found) for _ in range(min(_OFFSPRING * len(found), left - len(found)))]
        left -= len(found)
        for start in range(0, len(found), IN_FLIGHT):
            yield found[start : start + IN_FLIGHT]


def _examples(strategy: SearchStrategy[T], count: int) -> list[T]:
    found: list[T] = []

    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(value: T) -> None:
        found.append(value)

    collect()
    return found


def requests(good: Message, known: Sequence[str]) -> SearchStrategy[bytes]:
    """Bytes of well-formed messages: a good one with a change or two, or any, often with ids that there are.

    Some have fields that there are not.
    """
    descriptor: Any = good.DESCRIPTOR
    plain = messages(descriptor, known).map(_written)
    near = altered(good, known).map(_written)
    # Later fields win, and what nobody knows is kept: a message twice, or with any tail of the wire's form.
    more = st.builds(bytes.__add__, near | plain, _UNKNOWN_FIELDS | plain)
    return st.one_of(*[near] * 4, plain, more)


def _written(message: Message) -> bytes:
    return message.SerializeToString()


def altered(good: Message, known: Sequence[str], depth: int = _DEPTH) -> SearchStrategy[Message]:
    """The message with one or two of its fields as they come, also in the messages within."""
    fields: Any = good.DESCRIPTOR.fields
    if not fields:
        return st.just(good)
    change = st.one_of(
        [st.tuples(st.just(field.name), _change(good, field, known, depth)) for field in fields]
    )
    return st.lists(change, min_size=1, max_size=2).map(lambda changes: _changed(good, dict(changes)))


def _change(good: Message, field: FieldDescriptor, known: Sequence[str], depth: int) -> SearchStrategy[Any]:
    if field.message_type is not None and not field.is_repeated and good.HasField(field.name):
        return st.one_of(
            *[altered(getattr(good, field.name), known, depth - 1)] * 3, _values(field, known, depth)
        )
    return _values(field, known, depth)


def _changed(good: Message, values: dict[str, Any]) -> Message:
    copy = type(good)()
    copy.CopyFrom(good)
    for name in values:
        copy.ClearField(name)
    return _filled(copy, values)


def messages(descriptor: Descriptor, known: Sequence[str], depth: int = _DEPTH) -> SearchStrategy[Message]:
    """Messages in which each field is absent, usual, or at or beyond an edge."""
    kind = message_factory.GetMessageClass(descriptor)
    fields = [field for field in descriptor.fields if depth or field.type != FieldDescriptor.TYPE_MESSAGE]
    given = st.fixed_dictionaries({}, optional={field.name: _values(field, known, depth) for field in fields})
    return given.map(lambda values: _filled(kind(), values))


def _filled(message: Message, values: dict[str, Any]) -> Message:
    for name, value in values.items():
        field = message.DESCRIPTOR.fields_by_name[name]
        if isinstance(value, list):
            getattr(message, name).extend(value)
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            getattr(message, name).CopyFrom(value)
        else:
            setattr(message, name, value)
    return message


def _values(field: FieldDescriptor, known: Sequence[str], depth: int) -> SearchStrategy[Any]:
    one = _single(field, known, depth)
    if not field.is_repeated:
        return one
    return st.lists(one, max_size=4) | st.builds(_repeated, one, st.sampled_from(_MANY))


def _repeated(value: Any, count: int) -> list[Any]:
    """The value so often, as far as there is room for it."""
    size = value.ByteSize() if isinstance(value, Message) else len(str(value))
    return [value] * min(count, _ROOM // (size + 1))


def _single(field: FieldDescriptor, known: Sequence[str], depth: int) -> SearchStrategy[Any]:
    if field.message_type is not None:
        return messages(field.message_type, known, depth - 1)
    if field.enum_type is not None:
        numbers = [value.number for value in field.enum_type.values]
        return st.sampled_from(numbers) | st.sampled_from((-1, 99, 2**31 - 1, -(2**31)))
    if field.type == FieldDescriptor.TYPE_STRING and field.name.endswith("id"):
        # Most calls are about something that is there: else they would all end at its absence.
        return st.one_of(*[st.sampled_from(known)] * 3, _STRINGS)
    return _SCALARS[field.type]


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


_UNKNOWN_FIELDS = st.builds(
    lambda number, value: _varint(number << 3 | 2) + _varint(len(value)) + value,
    st.integers(1_000, 2**29 - 1),
    st.binary(max_size=64),
)
"""A field of bytes with a number that no message has."""
