"""What the Prefect server does by itself: crash runs without a heartbeat, alert about nights.

The alert goes to the address in DREAMLAB_ALERT_URL, as JSON with the key `text`; without one it is
an event in Prefect's feed. Whether a night is empty, or dreamt at all, is decided by the night.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from dreamlab.settings import Settings

FINAL = ("Completed", "Failed", "Crashed", "Cancelled", "Skipped", "Drained", "EmptyNight")
"""Names of the states that a flow run of ours can end in."""

SILENCE = timedelta(seconds=90)
NIGHTLESS = timedelta(hours=26)
"""How long no night may be dreamt before an alert is raised."""

NIGHT_KNOWN = "dreamlab.night.known"
"""Event of a session that dreamt its night, or found it dreamt."""

BLOCK = "dreamlab-alerts"


def ensure(client: Any, settings: Settings, nightless: timedelta = NIGHTLESS) -> None:
    """Make the automations, or bring those of the same name up to date.

    Args:
        client: Prefect's, of the server.
        settings: where alerts go.
        nightless: how long no night may be dreamt before an alert is raised.
    """
    for automation in _automations(_notify(settings), nightless):
        known = client.read_automations_by_name(automation.name)
        if known:
            client.update_automation(known[0].id, automation)
        else:
            client.create_automation(automation)


def _automations(alert: Any, nightless: timedelta) -> list[Any]:
    from prefect.client.schemas.objects import StateType
    from prefect.events.actions import ChangeFlowRunState
    from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
    from prefect.events.schemas.events import ResourceSpecification

    runs = ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"})
    labs = ResourceSpecification({"prefect.resource.id": "dreamlab.lab.*"})
    ended = {f"prefect.flow-run.{name}" for name in FINAL}
    return [
        AutomationCore(
            name="dreamlab: crash runs without a heartbeat",
            description="A run whose process and worker are gone stays Running for ever otherwise.",
            trigger=EventTrigger(
                after={"prefect.flow-run.heartbeat"},
                expect={"prefect.flow-run.heartbeat", *ended},
                match=runs,
                for_each={"prefect.resource.id"},
                posture=Posture.Proactive,
                threshold=1,
                within=SILENCE,
            ),
            actions=[
                ChangeFlowRunState(
                    name="Crashed",
                    state=StateType.CRASHED,
                    message="No heartbeat: its process is gone.",
                    force=False,
                )
            ],
        ),
        AutomationCore(
            name="dreamlab: a night came out empty",
            description="Says which gate blocked.",
            trigger=EventTrigger(
                expect={"prefect.flow-run.EmptyNight"},
                match=runs,
                posture=Posture.Reactive,
                threshold=1,
                within=timedelta(0),
            ),
            actions=[alert("Dream Lab: empty night", "{{ flow_run.state.message }}")],
        ),
        AutomationCore(
            name="dreamlab: no night in 26 hours",
            description="No night was dreamt: no worker, no server time, or a paused schedule.",
            trigger=EventTrigger(
                after={NIGHT_KNOWN},  # each night begins the span anew
                expect={NIGHT_KNOWN},
                match=labs,
                posture=Posture.Proactive,
                threshold=1,
                within=nightless,
            ),
            actions=[
                alert(
                    "Dream Lab: no night",
                    f"No night was dreamt in {_words(nightless)}; "
                    "`dreamlab doctor` names the gate.",
                )
            ],
        ),
    ]


def _words(span: timedelta) -> str:
    hours = span.total_seconds() / 3600
    return f"{hours:.0f} hours" if hours >= 1 else f"{span.total_seconds():.0f} seconds"


def _notify(settings: Settings) -> Any:
    """What makes an alert's action of a subject and a body."""
    from prefect.events.actions import DoNothing, SendNotification

    url = settings.alert_url.get_secret_value()
    if not url:
        return lambda subject, body: DoNothing()
    from prefect.blocks.notifications import CustomWebhookNotificationBlock

    block: Any = CustomWebhookNotificationBlock.model_validate(
        {"name": BLOCK, "url": url, "json_data": {"text": "{{subject}}: {{body}}"}}
    )
    block_id: Any = block.save(BLOCK, overwrite=True)
    return lambda subject, body: SendNotification(
        block_document_id=block_id, subject=subject, body=body
    )
