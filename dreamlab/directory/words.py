"""Words of a text, as matching sees them: lower case, without accents, English and Spanish.

No index and no ranking here.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from pathlib import Path

STOP_WORDS = frozenset(
    """
    a about after al algo alguien algun alguna all also am an and any anybody anyone anything aqui
    are around as asi at aun ayuda ayudan be because been before being bien busco but by cada can
    cant como con could cual cuando cuanto d de del desde did didnt do does doesnt doing donde
    dont dos down e el ella ellas ellos else em en era eres es esa ese eso esta estan estar este
    esto estoy favor for from fue get gets getting give go going gonna got gotta ha hacer had has
    hasta have havent having hay he hello help her here hers hey hi him his hola how i if im in
    into is isnt it its ive just know la las le les let like ll lo looking los m mas may me mi
    might mine mis more much mucho must muy my n nada near necesita necesito need needs no nos
    nosotros not now number o ocupo of off offers ok on one or other our out over own para pero
    please pls por porque pueda puede puedo que quien quiero re really s se sea ser she should si
    sin so sobre solo some somebody someone something somewhere son soy su such sus t tambien tan
    tell tengo than thank thanks that thats the their them then there these they theyre this those
    through ti tiene time to todo too try trying tu u un una under uno unos until up us usted va
    ve very voy want wants was wasnt we were what whats when where wheres which who whos why will
    with without won wont would wouldnt y ya yes yo you your yours
    """.split()  # noqa: SIM905
)
"""Words that say nothing of a need or a name, in English and Spanish."""

LISTS = Path(__file__).parent / "data" / "words"


@cache
def word_list(name: str) -> frozenset[str]:
    """A list of words that comes with the package: `ordinary` or `service`."""
    lines = (LISTS / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return frozenset(word for line in lines if not line.startswith("#") for word in line.split())


_DOTTED = re.compile(r"\b(?:[a-z]\.){2,}[a-z]?\b\.?")
_WORD = re.compile(r"[a-z0-9]+")


def plain(text: str) -> str:
    """The text in lower case without accents; dotted abbreviations closed up (U.S. -> us)."""
    spread = unicodedata.normalize("NFKD", text)
    bare = "".join(c for c in spread if not unicodedata.combining(c)).casefold()
    bare = bare.replace("'", "").replace("\u2019", "").replace("&", " and ")
    return _DOTTED.sub(lambda m: m.group().replace(".", ""), bare)


def words(text: str) -> list[str]:
    """Every word of the text, in order."""
    return _WORD.findall(plain(text))


def content_words(text: str) -> list[str]:
    """The words of the text that are no stop words, in order."""
    return [word for word in words(text) if word not in STOP_WORDS]
