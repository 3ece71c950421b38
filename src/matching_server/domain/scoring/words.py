"""Which advisors know a word: the words of every position in flat arrays, asked a word at a time."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from matching_server.domain.scoring.formula import folded

Positions = npt.NDArray[np.int64]

_NOBODY: Positions = np.empty(0, np.int64)
_ROOM = 1024


class WordIndex:
    """The words of each position, compared without regard to case.

    A changed position is appended anew and its old entries are blanked; what is blank is swept out once it
    is half of all. Answers are kept until somebody with that word changes: together they are no more than
    the entries.
    """

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._entries: dict[int, tuple[int, int]] = {}
        self._words = np.full(_ROOM, -1, np.int32)
        self._positions = np.zeros(_ROOM, np.int32)
        self._end = 0
        self._blank = 0
        self._answers: dict[int, Positions] = {}

    def put(self, position: int, words: Iterable[str]) -> None:
        """Replaces a position's words."""
        numbers = sorted(self._numbers.setdefault(word, len(self._numbers)) for word in folded(words))
        start, stop = self._entries.pop(position, (0, 0))
        if stop > start:
            before = self._words[start:stop].tolist()
            if before == numbers:
                self._entries[position] = (start, stop)
                return
            self._forget_answers(before)
            self._words[start:stop] = -1
            self._blank += stop - start
        if numbers:
            self._forget_answers(numbers)
            self._append(position, numbers)

    def having(self, word: str) -> Positions:
        """The positions that have the word, in no order; not to be changed."""
        number = self._numbers.get(word.casefold())
        if number is None:
            return _NOBODY
        found = self._answers.get(number)
        if found is None:
            hits = self._words[: self._end] == number
            found = self._positions[: self._end][hits].astype(np.int64)
            self._answers[number] = found
        return found

    def _forget_answers(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            self._answers.pop(number, None)

    def _append(self, position: int, numbers: list[int]) -> None:
        if self._end + len(numbers) > len(self._words):
            self._make_room(len(numbers))
        start, self._end = self._end, self._end + len(numbers)
        self._words[start : self._end] = numbers
        self._positions[start : self._end] = position
        self._entries[position] = (start, self._end)

    def _make_room(self, more: int) -> None:
        if self._blank * 2 > self._end:
            self._sweep()
        room = max(2 * (self._end + more), _ROOM)
        if self._end + more > len(self._words):
            self._words = np.concatenate([self._words, np.full(room - len(self._words), -1, np.int32)])
            self._positions = np.concatenate(
                [self._positions, np.zeros(room - len(self._positions), np.int32)]
            )

    def _sweep(self) -> None:
        """Moves what is not blank together; entries of a position stay side by side."""
        kept = self._words[: self._end] >= 0
        shift = np.cumsum(~kept)
        self._entries = {
            position: (start - int(shift[start]), stop - int(shift[start]))
            for position, (start, stop) in self._entries.items()
        }
        for column in (self._words, self._positions):
            column[: kept.sum()] = column[: self._end][kept]
        self._end, self._blank = int(kept.sum()), 0
        self._words[self._end :] = -1
