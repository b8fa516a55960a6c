"""What the status page says, in Brazilian Portuguese and in English: the same things in the same order. Pure.

Must never say anything from which somebody could tell whether a person is known here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

Language = Literal["pt-BR", "en"]
DEFAULT: Final[Language] = "pt-BR"


@dataclass(frozen=True, slots=True)
class Words:
    """One language's texts. `{date}` in some of them is a date in that language."""

    title: str
    company: str
    language_label: str
    status: str
    dates: str
    received: str
    due: str
    ended: str
    irrecoverable: str
    stages: Mapping[str, str]
    explanations: Mapping[str, str]
    reasons: Mapping[str, str]
    other_reason: str
    steps: tuple[str, str, str]
    step_states: tuple[str, str, str]
    steps_heading: str
    why: str
    unknown_title: str
    unknown: str
    away_title: str
    away: str
    limited_title: str
    limited: str
    footer: str
    months: tuple[str, ...]
    date_form: str

    def day(self, value: date) -> str:
        """The date in words."""
        return self.date_form.format(day=value.day, month=self.months[value.month - 1], year=value.year)


PORTUGUESE: Final = Words(
    title="Andamento do pedido de exclusão de dados",
    company="MKChannels",
    language_label="Idioma",
    status="Situação",
    dates="Datas",
    received="Pedido recebido em",
    due="Resposta até",
    ended="Encerrado em",
    irrecoverable="Cópias cifradas restantes ilegíveis até",
    stages={
        "processing": "Em andamento",
        "completed": "Concluído",
        "refused": "Não atendido",
    },
    explanations={
        "processing": (
            "Recebemos o pedido e ele está sendo tratado. Enquanto isso, o uso de dados que ele abrange fica suspenso. "
            "Você não precisa fazer nada: volte a esta página quando quiser, com o mesmo endereço."
        ),
        "completed": (
            "O pedido foi atendido. Se mantínhamos dados abrangidos por ele, foram apagados dos nossos sistemas. Cópias "
            "de segurança cifradas deixam de poder ser lidas, no mais tardar, na data indicada abaixo."
        ),
        "refused": "O pedido não pôde ser atendido. A justificativa está abaixo.",
    },
    reasons={
        "legal_hold": (
            "A lei ou uma ordem de autoridade nos obriga a conservar os dados por mais tempo (LGPD, art. 16, I). Eles "
            "ficam bloqueados, não são usados para nenhuma outra finalidade, e serão apagados quando essa obrigação acabar."
        ),
        "nothing_named": "O pedido não indica de quem ou de quê são os dados. Peça novamente pela plataforma em que começou.",
        "not_allowed": "O pedido não veio de quem pode fazê-lo. Peça novamente pela plataforma em que começou.",
        "unknown_tenant": "O pedido não indica uma empresa para a qual tratemos dados.",
    },
    other_reason="O pedido não pôde ser tratado na forma em que chegou. Peça novamente pela plataforma em que começou.",
    steps=("Pedido recebido", "Pedido em tratamento", "Pedido encerrado"),
    step_states=("feito", "agora", "depois"),
    steps_heading="Etapas",
    why="Justificativa",
    unknown_title="Código não encontrado",
    unknown=(
        "Não há pedido com este código. Se você acabou de recebê-lo, espere alguns minutos e abra a página de novo. "
        "Confira também se o endereço está completo."
    ),
    away_title="Página indisponível no momento",
    away="Não conseguimos consultar o pedido agora. Ele não se perde por isso. Tente novamente em alguns minutos.",
    limited_title="Muitas consultas",
    limited="Esta página foi aberta vezes demais a partir do seu endereço. Espere um minuto e tente novamente.",
    footer=(
        "Por segurança, esta página mostra só o andamento do pedido. Ela não mostra dados, nem se alguém é cliente de "
        "alguma empresa. Você também pode reclamar à Autoridade Nacional de Proteção de Dados (ANPD)."
    ),
    months=(
        "janeiro", "fevereiro", "março", "abril", "maio", "junho", "julho", "agosto", "setembro", "outubro", "novembro",
        "dezembro",
    ),
    date_form="{day} de {month} de {year}",
)  # fmt: skip

ENGLISH: Final = Words(
    title="Status of a data deletion request",
    company="MKChannels",
    language_label="Language",
    status="Status",
    dates="Dates",
    received="Request received on",
    due="Answer no later than",
    ended="Closed on",
    irrecoverable="Remaining encrypted copies unreadable by",
    stages={
        "processing": "In progress",
        "completed": "Completed",
        "refused": "Not fulfilled",
    },
    explanations={
        "processing": (
            "We have received the request and it is being handled. Meanwhile, use of any data that it covers is "
            "suspended. There is nothing you need to do: come back to this page at the same address whenever you like."
        ),
        "completed": (
            "The request has been fulfilled. If we held data that it covers, they were erased from our systems. "
            "Encrypted backup copies can no longer be read after the date below at the latest."
        ),
        "refused": "The request could not be fulfilled. The justification is below.",
    },
    reasons={
        "legal_hold": (
            "The law or an order of an authority obliges us to keep the data for longer (LGPD, article 16, I). They are "
            "blocked, are used for no other purpose, and will be erased when that obligation ends."
        ),
        "nothing_named": "The request does not say whose or which data it is about. Please ask again on the platform where you began.",
        "not_allowed": "The request did not come from somebody who may make it. Please ask again on the platform where you began.",
        "unknown_tenant": "The request does not name a company for which we process data.",
    },
    other_reason="The request could not be handled as it came. Please ask again on the platform where you began.",
    steps=("Request received", "Request being handled", "Request closed"),
    step_states=("done", "now", "later"),
    steps_heading="Steps",
    why="Justification",
    unknown_title="Code not found",
    unknown=(
        "There is no request with this code. If you have only just received it, wait a few minutes and open the page "
        "again. Please also check that the address is complete."
    ),
    away_title="The page is not available right now",
    away="We cannot look up the request at the moment. It is not lost because of that. Please try again in a few minutes.",
    limited_title="Too many visits",
    limited="This page was opened too often from your address. Wait a minute and try again.",
    footer=(
        "For security this page shows only how the request stands. It shows no data, nor whether somebody is a customer "
        "of any company. You may also complain to Brazil's data protection authority (ANPD)."
    ),
    months=(
        "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
        "December",
    ),
    date_form="{month} {day}, {year}",
)  # fmt: skip

BY_LANGUAGE: Final[Mapping[Language, Words]] = {"pt-BR": PORTUGUESE, "en": ENGLISH}


def chosen(query: str | None, accepted: str) -> Language:
    """The language of `?lang=`, else of `Accept-Language` (RFC 9110 section 12.5.4), else Portuguese."""
    if query is not None:
        return _known(query) or DEFAULT
    ranked: list[tuple[float, int, Language]] = []
    for position, part in enumerate(accepted[:1_000].split(",")):
        tag, _, parameters = part.partition(";")
        found = _known(tag.strip())
        name, _, value = parameters.strip().partition("=")
        try:
            weight = float(value) if name.strip() == "q" else 1.0
        except ValueError:
            continue
        if found is not None and 0.0 < weight <= 1.0:
            ranked.append((-weight, position, found))
    return min(ranked)[2] if ranked else DEFAULT


def _known(tag: str) -> Language | None:
    primary = tag.lower().partition("-")[0]
    if primary == "pt":
        return "pt-BR"
    return "en" if primary == "en" else None
