"""Messages: received from a person, sent by the business, edited, taken back, imported. META.md sections 6 and 8."""

from __future__ import annotations

from typing import Annotated

from contracts.events.content import (
    ContactCard,
    IdentityKey,
    InteractiveReply,
    Location,
    Order,
    Product,
    Story,
)
from contracts.events.declaration import Family, Moment, RetentionClass, Scope
from contracts.events.event import (
    HIDDEN,
    PERSONAL,
    Attachment,
    Event,
    PersonalText,
    PersonalTexts,
    ProviderError,
    PublicFlag,
    PublicNumber,
    PublicText,
    Referral,
    Value,
)


class Message(Value):
    """The content of one message."""

    id: PersonalText = None
    """Meta's message id: personal data (META.md section 10)."""
    type: PublicText = None
    """WhatsApp's `type`; for Messenger and Instagram `text`, `attachment`, `quick_reply` or `unsupported`."""
    text: PersonalText = None
    attachments: tuple[Attachment, ...] = ()
    payload: PersonalText = None
    """What the business hid behind the button or quick reply that the person tapped."""
    commands: PersonalTexts = ()
    """Messenger: those of the business's commands that the person put into the text."""
    reply_to: PersonalText = None
    """The id of the message that this one answers."""
    reply_to_author: PersonalText = None
    """Who wrote that message: the business's number or the person's id."""
    story: Story | None = None
    """The story that it answers."""
    group: PersonalText = None
    forwarded: PublicFlag = None
    frequently_forwarded: PublicFlag = None
    location: Location | None = None
    contacts: tuple[ContactCard, ...] = ()
    interactive: InteractiveReply | None = None
    order: Order | None = None
    product: Product | None = None
    """The product that the person asked about."""
    referral: Referral | None = None
    identity: IdentityKey | None = None
    unsupported: PublicText = None
    """What Meta would not hand on (poll, edit, button, …), if it says so."""
    errors: tuple[ProviderError, ...] = ()
    """Why the content is missing: 131051 type not supported, 131060 not available."""
    app: PublicText = None
    """Of an echo: the app that sent it."""
    metadata: PersonalText = None
    """Of an echo: what that app attached."""
    to_self: PublicFlag = None
    """The account wrote to itself."""


class MessageReceived(Event):
    """A person wrote to the business."""

    message: Message


class MessageSent(Event):
    """The business wrote, here or from another app (an echo)."""

    message: Message


class Edit(Value):
    """The new content; a text that is None was not sent and must not replace a stored one."""

    message_id: Annotated[str, HIDDEN, PERSONAL]
    """Of the message that was edited."""
    number: PublicNumber = None
    """How often it has been edited, where Meta says so."""
    type: PublicText = None
    text: PersonalText = None
    attachments: tuple[Attachment, ...] = ()


class MessageEdited(Event):
    """A message has new content."""

    edit: Edit


class Unsend(Value):
    """Which message was taken back."""

    message_id: Annotated[str, HIDDEN, PERSONAL]
    """Of the message that was taken back, not of the notice."""


class MessageUnsent(Event):
    """A message was taken back by its author: every copy must go. META.md section 13."""

    unsend: Unsend


class Announcement(Value):
    """Which message there is."""

    message_id: Annotated[str, HIDDEN, PERSONAL]


class MessageAnnounced(Event):
    """Instagram names a new message without its content, often without parties; nothing was edited."""

    announcement: Announcement


class Imported(Value):
    """One message of an import of a business app's chats, up to 180 days old."""

    message: Message
    status: PublicText = None
    """What had become of it when it was imported: DELIVERED, READ, PLAYED, ERROR, …"""
    phase: PublicNumber = None
    """0: the last day, 1: up to 90 days, 2: up to 180 days."""
    chunk: PublicNumber = None
    """Chunks arrive in any order."""
    progress: PublicNumber = None
    """Percent."""


class HistoryImported(Event):
    """An earlier message of either side was imported when the business app was connected."""

    imported: Imported


class HistoryProgress(Value):
    """How far the import is; no message in it."""

    phase: PublicNumber = None
    chunk: PublicNumber = None
    progress: PublicNumber = None
    errors: tuple[ProviderError, ...] = ()
    """2593109: the business declined to share its history."""


class HistoryProgressed(Event):
    """The import moved on, found an empty chat, or failed."""

    history: HistoryProgress


class HistoryDeclined(Event):
    """The business chose not to share its history."""

    history: HistoryProgress


_ANSWERING = Family(
    "answer the person on behalf of the company they wrote to", RetentionClass.CONVERSATION, Scope.MESSAGING
)
_HONOURING = Family(
    "show and keep what its author last wanted said, and nothing else",
    RetentionClass.CONVERSATION,
    Scope.MESSAGING,
    directions=("inbound", "outbound", "system"),
)
_IMPORTING = Family(
    "continue conversations that the company already had with the person",
    RetentionClass.CONVERSATION,
    Scope.MESSAGING,
    directions=("inbound", "outbound"),
)

TYPES = (
    _ANSWERING.declare(
        "message.received",
        MessageReceived,
        "page, instagram: `message`; whatsapp `messages`: `messages[]` of every type of content",
        opens=True,
    ),
    _ANSWERING.declare(
        "message.sent",
        MessageSent,
        "page, instagram: `message` with `is_echo`; whatsapp `smb_message_echoes`: `message_echoes[]`",
        opens=True,
        directions=("outbound",),
    ),
    _HONOURING.declare(
        "message.edited",
        MessageEdited,
        "page, instagram: `message_edit`; whatsapp: `messages[]` and `message_echoes[]` of type `edit`",
    ),
    _HONOURING.declare(
        "message.unsent",
        MessageUnsent,
        "page, instagram: `message` with `is_deleted`; whatsapp: type `revoke`",
    ),
    _HONOURING.declare(
        "message.announced",
        MessageAnnounced,
        "instagram: `message_edit` with `num_edit` 0 and no text",
    ),
    _IMPORTING.declare(
        "history.imported",
        HistoryImported,
        "whatsapp `history`: `history[].threads[].messages[]`, `messages[]`, `message_echoes[]`",
    ),
    _IMPORTING.declare(
        "history.progressed",
        HistoryProgressed,
        "whatsapp `history`: a chunk or thread without messages, or with errors",
        occurred_at=Moment.VALUE,
        directions=("system",),
    ),
    _IMPORTING.declare(
        "history.declined",
        HistoryDeclined,
        "whatsapp `history`: errors with code 2593109",
        occurred_at=Moment.VALUE,
        directions=("system",),
    ),
)
