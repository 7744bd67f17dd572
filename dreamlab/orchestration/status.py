"""How the lab stands, from files alone: it opens no model, no memory and no server."""

from __future__ import annotations

from dreamlab import __version__
from dreamlab.lab import Lab
from dreamlab.orchestration import dreaming


def status_of(lab: Lab) -> dict[str, str]:
    """What an operator wants to know first, as names and values to read.

    Raises:
        DirectoryError: the directory is missing or broken.
        RegistryError: the registry cannot be reached.
    """
    window, now = dreaming.window_of(lab), lab.now()
    state = "open now" if window.contains(now) else "closed"
    last = dreaming.last_manifest(lab)
    champion = lab.registry.champion()
    pending = dreaming.unfinished(lab)
    night = "none yet"
    if last:
        night = f"{last.night}: {last.verified} of {last.solved} dreams verified"
    return {
        "dreamlab": __version__,
        "home": str(lab.settings.home),
        "directory": f"{lab.catalog.name}, {len(lab.catalog)} services",
        "window": f"{window}, {state}",
        "last_night": night,
        "unfinished": ", ".join(plan.night for plan in pending) or "nothing",
        "version": f"{champion.number} answers" if champion else "none yet; run `dreamlab night`",
        "tracking": lab.settings.resolved_tracking_uri,
    }
