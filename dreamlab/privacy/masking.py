"""Masking: personal data in what people ask, replaced before anything remembers it.

`Masker` puts the finders together. What is masked and how well is measured by
`benchmarks/masking_recall.py` (docs/privacy.md).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from dreamlab.errors import SettingsError
from dreamlab.privacy import addresses, births, identifiers
from dreamlab.privacy.findings import Finding
from dreamlab.privacy.names import NameFinder
from dreamlab.records import Experience


class Masker:
    """Finds and masks names, phone numbers, e-mail and street addresses, dates of birth, social
    security and case numbers.

    Args:
        texts: what the directory and its phrase bank say: their words and names are no persons,
            their numbers and addresses are public.
        places: the directory's places.
        country: ISO code of the country whose phone numbers are written without a +.

    Raises:
        SettingsError: no phone numbers are known of that country.
    """

    def __init__(
        self, texts: Iterable[str] = (), places: Iterable[str] = (), country: str = "US"
    ) -> None:
        from phonenumbers import SUPPORTED_REGIONS

        if country not in SUPPORTED_REGIONS:
            raise SettingsError(
                f"no phone numbers are known of DREAMLAB_PHONE_COUNTRY={country}: "
                "give an ISO code such as US or MX"
            )
        texts = tuple(texts)
        self.country = country
        self._names = NameFinder(texts, places)
        self._public = {
            re.sub(r"\D", "", number)[-10:] for text in texts for number in _NUMBER.findall(text)
        }

        self._listed = {key for text in texts for key in addresses.keys(text)}

    def find(self, text: str) -> list[Finding]:
        """Personal data in a text, in order; what overlaps is one finding, of the first kind."""
        found: list[Finding] = []
        for finder in (
            identifiers.emails(text),
            identifiers.social_security_numbers(text),
            births.births(text),
            addresses.addresses(text, self._is_listed),
            identifiers.case_numbers(text, self._is_public),
            identifiers.phones(text, self.country, self._is_public),
            identifiers.long_numbers(text, self._is_public),
            self._persons(text),
        ):
            for one in finder:
                joined = [other for other in found if one.overlaps([other])]
                kind = joined[0].kind if joined else one.kind
                start = min(other.start for other in (one, *joined))
                end = max(other.end for other in (one, *joined))
                found = [other for other in found if other not in joined]
                found.append(Finding(start, end, kind))
        return sorted(found, key=lambda finding: finding.start)

    def _persons(self, text: str) -> list[Finding]:
        streets = tuple(addresses.streets(text))
        return [
            one
            for one in self._names.find(text)
            if not any(start <= one.start and one.end <= end for start, end in streets)
        ]

    def mask(self, text: str) -> str:
        """The text with what is found replaced by its kind, such as [NAME], until nothing is."""
        while found := self.find(text):  # each turn leaves less that is no placeholder
            text = _replaced(text, found)
        return text

    def mask_experience(self, experience: Experience) -> Experience:
        """The experience as it may be stored: its question masked, its answers too where they
        repeat what the question gave away. What they say of services stays."""
        question = experience.task.question
        found = self.find(question)
        if not found:
            return experience
        said = {question[f.start : f.end]: f.kind.placeholder for f in found}
        pattern = re.compile(
            "|".join(rf"(?<!\w){re.escape(s)}(?!\w)" for s in sorted(said, key=len, reverse=True))
        )

        def hide(text: str) -> str:
            return pattern.sub(lambda m: said[m[0]], text)

        answers = tuple(
            replace(answer, text=hide(answer.text), notes=tuple(map(hide, answer.notes)))
            for answer in experience.answers
        )
        task = replace(experience.task, question=self.mask(question))
        return replace(experience, task=task, answers=answers)

    def _is_listed(self, address: str) -> bool:
        return addresses.is_listed(address, self._listed)

    def _is_public(self, digits: str) -> bool:
        return digits[-10:] in self._public


_NUMBER = re.compile(r"(?<!\d)(?:\+?1[-. ]?)?\(?\d{3}\)?[-. ]{0,2}\d{3}[-. ]?\d{4}(?!\d)")


def _replaced(text: str, found: Iterable[Finding]) -> str:
    parts, at = [], 0
    for one in found:
        parts += [text[at : one.start], one.kind.placeholder]
        at = one.end
    return "".join([*parts, text[at:]])
