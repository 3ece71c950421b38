"""Enum arguments in the reader's words: "approved" for DECISION_APPROVED."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeVar, cast

if TYPE_CHECKING:
    from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper

_Value = TypeVar("_Value", bound=int)
_UNSET = "unspecified"


def value_of(enum: type[_Value], word: _Value | str | None) -> _Value | None:
    """The enum's value for a word in any case, with or without the enum's prefix; None stays None.

    A value is taken as it is. ValueError, with the words that are allowed, for anything else.
    """
    if word is None:
        return None
    values = cast("dict[str, _Value]", dict(_wrapper(enum).items()))
    if isinstance(word, str):
        known = {name.lower(): value for name, value in values.items()}
        known |= {short: known[name] for name, short in _short(known).items()}
        if word.lower() in known:
            return known[word.lower()]
    elif word in values.values():
        return word
    allowed = [short for short in _short(name.lower() for name in values).values() if short != _UNSET]
    raise ValueError(f"{word!r} is no {_wrapper(enum).DESCRIPTOR.name}; it is one of {', '.join(allowed)}")


def values_of(enum: type[_Value], words: Iterable[_Value | str]) -> list[_Value]:
    """The values for many words. TypeError for a lone string, which would be read letter by letter."""
    if isinstance(words, str):
        raise TypeError(f"give a sequence of words, not the string {words!r}")
    return [value for word in words if (value := value_of(enum, word)) is not None]


def _wrapper(enum: type[_Value]) -> EnumTypeWrapper:
    """What an enum is at run time; the stubs of protobuf say that it is the type of its values."""
    return cast("EnumTypeWrapper", enum)


def _short(names: Iterable[str]) -> dict[str, str]:
    """The names without the enum's prefix, which is what stands before UNSPECIFIED in every enum."""
    names = list(names)
    prefix = next(name for name in names if name.endswith(_UNSET)).removesuffix(_UNSET)
    return {name: name.removeprefix(prefix) for name in names}
