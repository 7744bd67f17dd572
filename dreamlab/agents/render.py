"""The text of an answer, rendered from directory rows: nothing else speaks for a service.

Phone numbers, addresses and hours come from cited rows only; services that are merely offered as
near are shown by name and place. The words of the question never appear. Fixed phrases are in
English or Spanish; the rows are shown in the language of their source.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

from dreamlab.records import Referral, Service

ENGLISH = MappingProxyType(
    {
        "phone": "Phone",
        "address": "Address",
        "hours": "Hours",
        "eligibility": "Who it is for",
        "how_to_apply": "How to apply",
        "fees": "Cost",
        "description": "What it does",
        "url": "Web",
        "found": "These services fit:",
        "found_one": "This service fits:",
        "not_there": "None of these is in {place} itself.",
        "fact": "{label} of {service}: {value}",
        "missing": "The directory has no entry under “{label}” for {service}. What it does have:",
        "outside": "Nothing in this directory fits that question.",
        "elsewhere": "This directory does not cover {place}.",
        "unknown": "This directory lists no service of that name.",
        "nothing": "Nothing in this directory fits that exactly.",
        "unclear": "I could not tell what is needed. Please say what kind of help it is.",
        "script": "I can read questions in English and in Spanish only. "
        "Solo puedo leer preguntas en inglés y en español.",
        "near": "The nearest things it does list:",
        "helpline": "Please call {helpline}: people there can look further.",
        "listed": "Listed {date}; confirm by calling {helpline}.",
        "listed_only": "Listed {date}; confirm before you go.",
        "undated": "at an unknown date",
    }
)
SPANISH = MappingProxyType(
    {
        "phone": "Teléfono",
        "address": "Dirección",
        "hours": "Horario",
        "eligibility": "Para quién es",
        "how_to_apply": "Cómo solicitarlo",
        "fees": "Costo",
        "description": "Qué hace",
        "url": "Web",
        "found": "Estos servicios pueden servirle:",
        "found_one": "Este servicio puede servirle:",
        "not_there": "Ninguno de estos está en {place} mismo.",
        "fact": "{label} de {service}: {value}",
        "missing": "El directorio no tiene nada bajo «{label}» para {service}. Lo que sí tiene:",
        "outside": "Nada en este directorio corresponde a esa pregunta.",
        "elsewhere": "Este directorio no cubre {place}.",
        "unknown": "En este directorio no hay ningún servicio con ese nombre.",
        "nothing": "Nada en este directorio corresponde exactamente a eso.",
        "unclear": "No entendí qué necesita. Por favor diga qué tipo de ayuda busca.",
        "script": "Solo puedo leer preguntas en inglés y en español. "
        "I can read questions in English and in Spanish only.",
        "near": "Lo más cercano que sí tiene:",
        "helpline": "Por favor llame al {helpline}: allí pueden buscar más.",
        "listed": "Registrado {date}; confirme llamando al {helpline}.",
        "listed_only": "Registrado {date}; confirme antes de ir.",
        "undated": "en fecha desconocida",
    }
)

SHOWN = ("description", "phone", "address", "hours", "fees", "eligibility", "how_to_apply", "url")
"""What of a cited row is shown, in this order, where the row has it."""


def render(
    referral: Referral,
    cited: Sequence[Service],
    *,
    language: str = "en",
    helpline: str = "",
    nearest: Sequence[Service] = (),
    problem: str = "",
    place: str = "",
    ids: bool = False,
) -> str:
    """The whole text of an answer.

    `cited` are the rows of `referral.service_ids`, in that order; of a fact question the first
    one is the service asked about. `problem` says why nothing is cited: `outside`, `elsewhere`
    (then `place` names where), `unknown`, `nothing`, `unclear` or `script`. With `ids` each row
    shows its id, so that prose can cite it.
    """
    say = SPANISH if language == "es" else ENGLISH
    if not cited:
        lines = [say[problem or "nothing"].format(place=place)]
        if nearest:
            lines += [say["near"], *(f"- {_title(service)}" for service in nearest)]
        if helpline:
            lines.append(say["helpline"].format(helpline=helpline))
        return "\n".join(lines)
    blocks = [
        _row(f"{number}. [{row.id}]" if ids else f"{number}.", row, say, helpline)
        for number, row in enumerate(cited, start=1)
    ]
    if referral.field:
        blocks.insert(0, _fact(cited[0], referral.field, say))
    else:
        blocks.insert(0, say["found" if len(cited) > 1 else "found_one"])
        if referral.place and all(row.place not in ("", referral.place) for row in cited):
            blocks.append(say["not_there"].format(place=referral.place))
    return "\n".join(blocks)


def _fact(service: Service, field: str, say: MappingProxyType[str, str]) -> str:
    value = _plain(getattr(service, field))
    key = "fact" if value else "missing"
    return say[key].format(label=say[field], service=_plain(service.name), value=value)


def _row(head: str, service: Service, say: MappingProxyType[str, str], helpline: str) -> str:
    lines = [f"{head} {_title(service)}"]
    for column in SHOWN:
        if value := _plain(getattr(service, column)):
            lines.append(f"   {say[column]}: {value}")
    known = _plain(service.source_date)
    date = known if any(c.isdigit() for c in known) else say["undated"]
    key = "listed" if helpline else "listed_only"
    lines.append(f"   {say[key].format(date=date, helpline=helpline)}")
    return "\n".join(lines)


def _title(service: Service) -> str:
    parts = [_plain(service.name), _plain(service.organization), _plain(service.place)]
    return " · ".join(part for part in parts if part)


def _plain(value: str) -> str:
    """A row's text on one line, without control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in value).split())
