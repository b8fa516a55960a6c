"""Message templates and Flows of the company. META.md section 8."""

from __future__ import annotations

from typing import Annotated, Any

from contracts.events.account import CONNECTING
from contracts.events.event import PUBLIC, Event, PublicNumber, PublicText, Value


class Flow(Value):
    """A WhatsApp Flow."""

    id: PublicText = None
    event: PublicText = None
    text: PublicText = None
    previous_status: PublicText = None
    status: PublicText = None
    alert_state: PublicText = None
    error_rate: Annotated[float | None, PUBLIC] = None
    """Percent."""
    latency_ms: PublicNumber = None
    requests: PublicNumber = None
    availability: Annotated[float | None, PUBLIC] = None
    """Percent."""
    threshold: PublicNumber = None
    warning: PublicText = None


class _FlowReported(Event):
    flow: Flow


class FlowStatusChanged(_FlowReported):
    """A Flow was published, deprecated, blocked or throttled."""


class FlowHealthReported(_FlowReported):
    """The errors, latency or availability of a Flow crossed a threshold."""


class FlowVersionExpiring(_FlowReported):
    """The version of a Flow will soon be frozen or expire."""


class FlowChanged(_FlowReported):
    """Something else about a Flow."""


class Template(Value):
    """A message template."""

    id: PublicText = None
    name: PublicText = None
    language: PublicText = None
    status: PublicText = None
    """Meta's word: APPROVED, REJECTED, FLAGGED, PAUSED, DISABLED, …"""
    reason: PublicText = None
    recommendation: PublicText = None
    category: PublicText = None
    previous_category: PublicText = None
    quality: PublicText = None
    previous_quality: PublicText = None
    disable_date: PublicText = None
    title: PublicText = None
    body: PublicText = None
    footer: PublicText = None
    buttons: Annotated[tuple[Any, ...], PUBLIC] = ()


class _TemplateChanged(Event):
    template: Template


class TemplateStatusChanged(_TemplateChanged):
    """Meta approved, refused, flagged, paused or disabled a template."""


class TemplateQualityChanged(_TemplateChanged):
    """How people take a template changed."""


class TemplateCategoryChanged(_TemplateChanged):
    """Meta moved a template into another category, or will."""


class TemplateComponentsChanged(_TemplateChanged):
    """The text or buttons of a template changed."""


TYPES = (
    CONNECTING.declare(
        "template.status_changed",
        TemplateStatusChanged,
        "whatsapp: `message_template_status_update`; page: `messenger_template_status_update`",
    ),
    CONNECTING.declare(
        "template.quality_changed", TemplateQualityChanged, "whatsapp: `message_template_quality_update`"
    ),
    CONNECTING.declare(
        "template.category_changed", TemplateCategoryChanged, "whatsapp: `template_category_update`"
    ),
    CONNECTING.declare(
        "template.components_changed",
        TemplateComponentsChanged,
        "whatsapp: `message_template_components_update`",
    ),
    CONNECTING.declare("flow.status_changed", FlowStatusChanged, "whatsapp: `flows` FLOW_STATUS_CHANGE"),
    CONNECTING.declare(
        "flow.health_reported",
        FlowHealthReported,
        "whatsapp: `flows` CLIENT_ERROR_RATE, ENDPOINT_ERROR_RATE, ENDPOINT_LATENCY, ENDPOINT_AVAILABILITY",
    ),
    CONNECTING.declare(
        "flow.version_expiring",
        FlowVersionExpiring,
        "whatsapp: `flows` FLOW_VERSION_EXPIRY_WARNING, FLOW_VERSION_FREEZE_WARNING",
    ),
    CONNECTING.declare("flow.changed", FlowChanged, "whatsapp: `flows` with any other event"),
)
