"""Whether numbers that carry a check digit add up. Pure.

Each takes the characters alone, without what separates them.
"""

from __future__ import annotations

from typing import Final

_LUHN_DOUBLED: Final = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)

# The multiplication of the dihedral group D5, and the permutation that moves each place's digit.
_D5: Final = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9),
    (1, 2, 3, 4, 0, 6, 7, 8, 9, 5),
    (2, 3, 4, 0, 1, 7, 8, 9, 5, 6),
    (3, 4, 0, 1, 2, 8, 9, 5, 6, 7),
    (4, 0, 1, 2, 3, 9, 5, 6, 7, 8),
    (5, 9, 8, 7, 6, 0, 4, 3, 2, 1),
    (6, 5, 9, 8, 7, 1, 0, 4, 3, 2),
    (7, 6, 5, 9, 8, 2, 1, 0, 4, 3),
    (8, 7, 6, 5, 9, 3, 2, 1, 0, 4),
    (9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
)
_MOVED: Final = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)

_ICAO_WEIGHTS: Final = (7, 3, 1)


def is_luhn(digits: str) -> bool:
    """ISO/IEC 7812: payment cards."""
    odd = sum(int(digit) for digit in digits[-1::-2])
    return (odd + sum(_LUHN_DOUBLED[int(digit)] for digit in digits[-2::-2])) % 10 == 0


def is_verhoeff(digits: str) -> bool:
    """Verhoeff's: Aadhaar numbers."""
    check = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit)
        for _ in range(place % 8):
            value = _MOVED[value]
        check = _D5[check][value]
    return check == 0


def is_icao(characters: str) -> bool:
    """ICAO 9303, the last character being the check digit: passports as machines read them."""
    weighted = [int(one, 36) * _ICAO_WEIGHTS[place % 3] for place, one in enumerate(characters[:-1])]
    return sum(weighted) % 10 == int(characters[-1])
