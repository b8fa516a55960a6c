"""The words of the register of processing in both its languages, and which category of data a personal field is.

Everything that the code declares in English (purposes, topics) needs its Portuguese here, or the register cannot be made.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from contracts import topics

Language = Literal["en", "pt"]

PORTUGUESE: Final[Mapping[str, str]] = {
    # Purposes of event types.
    "answer the person on behalf of the company they wrote to": "responder à pessoa em nome da empresa a quem ela escreveu",
    "show and keep what its author last wanted said, and nothing else": "mostrar e guardar o que o autor quis dizer por último, e nada além disso",
    "continue conversations that the company already had with the person": "dar continuidade às conversas que a empresa já mantinha com a pessoa",
    "show the company whether its messages arrive and correct those that do not": "mostrar à empresa se as suas mensagens chegam e corrigir as que não chegam",
    "carry out the purchase that the person makes from the company": "executar a compra que a pessoa faz da empresa",
    "keep the company's account working and tell the company what Meta decides about it": "manter a conta da empresa em funcionamento e informar a empresa do que a Meta decide sobre ela",
    "let one app at a time answer the person": "permitir que um aplicativo de cada vez responda à pessoa",
    "let the person and the company talk to each other": "permitir que a pessoa e a empresa conversem por voz",
    "let the company and its customers talk in a group": "permitir que a empresa e os seus clientes conversem em grupo",
    "recognise the person under every id, so that they are answered once and erased whole": "reconhecer a pessoa sob todos os seus identificadores, para que seja respondida uma só vez e eliminada por inteiro",
    "respect what the person agreed to and refused": "respeitar o que a pessoa aceitou e recusou",
    "let the company answer and moderate comments on what it published": "permitir que a empresa responda e modere comentários sobre o que publicou",
    "show the company how what it published did": "mostrar à empresa o desempenho do que publicou",
    "let the company answer people who asked it for contact": "permitir que a empresa responda a quem lhe pediu contato",
    "show the company which of its ads and chats led to something": "mostrar à empresa quais dos seus anúncios e conversas tiveram resultado",
    "keep what Meta sent about the company's account until the service understands it": "guardar o que a Meta enviou sobre a conta da empresa até que o serviço o compreenda",
    # Topics.
    "Verified deliveries of Meta, in sealed blocks: the only copy until the router has split them.": "Entregas verificadas da Meta, em blocos lacrados: a única cópia até que o roteador as separe.",
    "Raw records with items that could not be routed, in their original sealing, with reasons.": "Registros brutos com itens que não puderam ser encaminhados, no lacre original, com os motivos.",
    "Tenant records that could not be stored, in their original sealing, with reasons.": "Registros de empresas que não puderam ser armazenados, no lacre original, com os motivos.",
    "What became of each raw record: one line per source topic, partition and offset.": "O destino de cada registro bruto: uma linha por tópico, partição e posição de origem.",
    "Tenants, slots, accounts, consents, public keys and grants: signed, opaque references only.": "Empresas, vagas, contas, consentimentos, chaves públicas e autorizações: assinados, só com referências opacas.",
    "Deletion events: a subject, a message, an account, a tenant, a withdrawn consent.": "Eventos de eliminação: um titular, uma mensagem, uma conta, uma empresa, um consentimento revogado.",
    "Every executed erasure: pseudonyms, generation, watermark. The restore gate reads it.": "Cada eliminação executada: pseudônimos, geração, marca temporal. Consultada antes de restaurar cópias.",
    "State changes and signed receipts of erasure requests; ids only.": "Mudanças de estado e recibos assinados dos pedidos de eliminação; somente identificadores.",
    "Signed heads of the audit log's tree with the leaf hashes since the last: its anchor outside the database.": "Raízes assinadas da árvore do registro de auditoria, com os hashes das entradas desde a anterior: sua âncora fora do banco de dados.",
    "One tenant's events, one CloudEvent a record, sealed for that tenant.": "Eventos de uma empresa, um CloudEvent por registro, lacrados para essa empresa.",
    "The day's private transport half, wrapped for each active grant of the tenant.": "A metade privada da chave de transporte do dia, lacrada para cada autorização ativa da empresa.",
    # Whose data it is.
    "the company's customer or correspondent": "cliente ou correspondente da empresa",
    "the author of a comment, post, mention or rating": "autor de comentário, publicação, menção ou avaliação",
    "a participant of a group": "participante de grupo",
    "somebody in the company's address book": "pessoa da agenda de contatos da empresa",
    "nobody by an id; people may be named in what Meta sent": "ninguém por identificador; o que a Meta enviou pode mencionar pessoas",
}
"""English to Brazilian Portuguese."""

LEGAL_BASES: Final[Mapping[str, Mapping[Language, str]]] = {
    "lgpd_7_v": {
        "en": "performance of a contract (LGPD art. 7, V)",
        "pt": "execução de contrato (LGPD, art. 7º, V)",
    },
    "lgpd_7_ii": {
        "en": "legal or regulatory obligation (LGPD art. 7, II)",
        "pt": "obrigação legal ou regulatória (LGPD, art. 7º, II)",
    },
    "lgpd_7_ix": {
        "en": "legitimate interest (LGPD art. 7, IX)",
        "pt": "legítimo interesse (LGPD, art. 7º, IX)",
    },
}

SCOPES: Final[Mapping[str, Mapping[Language, str]]] = {
    "messaging": {"en": "messaging", "pt": "mensagens"},
    "comments": {"en": "comments", "pt": "comentários"},
    "account": {"en": "account", "pt": "conta"},
}

RETENTION: Final[Mapping[str, Mapping[Language, str]]] = {
    "conversation": {"en": "conversation", "pt": "conversa"},
    "delivery": {"en": "delivery", "pt": "entrega"},
    "public_comment": {"en": "public comment", "pt": "comentário público"},
    "account": {"en": "account", "pt": "conta"},
    "unknown": {"en": "unknown", "pt": "desconhecido"},
}

CATEGORIES: Final[Mapping[str, Mapping[Language, str]]] = {
    "identity": {
        "en": "identifiers and names of the person at Meta",
        "pt": "identificadores e nomes da pessoa na Meta",
    },
    "contact": {
        "en": "names, telephone numbers, e-mail and postal addresses",
        "pt": "nomes, telefones, e-mails e endereços",
    },
    "content": {
        "en": "what was said or sent: texts, files, forms, links",
        "pt": "o que foi dito ou enviado: textos, arquivos, formulários, links",
    },
    "location": {"en": "places", "pt": "localização"},
    "traffic": {
        "en": "identifiers of messages, groups, posts and calls, and their times",
        "pt": "identificadores de mensagens, grupos, publicações e chamadas, e seus horários",
    },
    "purchase": {"en": "orders and payments", "pt": "pedidos e pagamentos"},
    "origin": {
        "en": "the ad, link or search that brought the person, and what came of it",
        "pt": "o anúncio, link ou busca que trouxe a pessoa, e o que resultou disso",
    },
    "whole": {"en": "the item as Meta sent it", "pt": "o item tal como a Meta o enviou"},
}

_FIELDS: Final[Mapping[str, str]] = {
    name: category
    for category, names in {
        "identity": "person bsuid parent_bsuid previous_bsuid previous_parent_bsuid user_ref token player "
        "reply_to_author requester hash username authorization_code",
        "contact": "phone phones previous_phone emails contact_name contact_email contact_phone first_name full_name "
        "name street street2 city state postal_code country whatsapp_ids vcard birthday organisation contact",
        "location": "latitude longitude address timezone location",
        "traffic": "id message_id message_ids group parent_id post_id comment_id media_id reply_to started_at_ms "
        "ended_at_ms duration_s created_at_ms expires_at_ms request join_request invite_link sha256 "
        "permission_until_ms token_until_ms transaction reference",
        "purchase": "amount price quantity product products payment_method shipping_option cart",
        "origin": "ref source_id source_url headline body media_url click_id origin conversion",
        "whole": "fragment envelope",
    }.items()
    for name in names.split()
}


def category_of(path: str) -> str:
    """The category of a personal field; what is not listed is content, the most sensitive reading."""
    *above, last = path.split(".")
    if {"location"} & {*above}:
        return "location"
    return _FIELDS.get(last, "content")


def said(text: str, language: Language) -> str:
    """The text in that language. Raises KeyError with the text if it has no Portuguese yet."""
    return text if language == "en" else PORTUGUESE[text]


PERSONAL_FORM: Final[Mapping[str, Mapping[Language, str]]] = {
    topics.RAW: {"en": "sealed", "pt": "lacrados"},
    topics.QUARANTINE_RAW: {"en": "sealed", "pt": "lacrados"},
    topics.QUARANTINE_TENANT: {
        "en": "sealed; pseudonyms in headers",
        "pt": "lacrados; pseudônimos nos cabeçalhos",
    },
    topics.LEDGER: {"en": "none", "pt": "nenhum"},
    topics.CONTROL: {
        "en": "none of persons; administrators' ids as keyed hashes",
        "pt": "nenhum de titulares; identificadores de administradores só como hash com chave",
    },
    topics.ERASURE_REQUESTS: {"en": "pseudonyms, sealed", "pt": "pseudônimos, lacrados"},
    topics.ERASURE_FENCES: {"en": "pseudonyms", "pt": "pseudônimos"},
    topics.ERASURE_OUTCOMES: {"en": "none", "pt": "nenhum"},
    topics.AUDIT_CHECKPOINTS: {"en": "none", "pt": "nenhum"},
    topics.tenant_events_topic("{slot}"): {
        "en": "sealed for the tenant; pseudonyms in keys and headers",
        "pt": "lacrados para a empresa; pseudônimos em chaves e cabeçalhos",
    },
    topics.tenant_keys_topic("{slot}"): {"en": "none; keys, wrapped", "pt": "nenhum; chaves, lacradas"},
}
"""In what form a topic holds personal data."""
