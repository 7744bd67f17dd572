"""The CrewAI door: the same roles, let to speak by a CrewAI crew instead of by this lab.

CrewAI decides who speaks when: the experts as asynchronous tasks, then the lead, who waits for
them.
What a role says, to which endpoint, at whose cost and with which checks is the roundtable's: a role
is handed to CrewAI as a model that speaks when it is called. CrewAI's own prompts, memory, tools,
traces and telemetry are not used.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from dreamlab.errors import SettingsError

QUIET = {
    "CREWAI_DISABLE_TELEMETRY": "true",
    "CREWAI_DISABLE_TRACKING": "true",
    "CREWAI_TRACING_ENABLED": "false",
    "CREWAI_TESTING": "true",
    "OTEL_SDK_DISABLED": "true",
}
"""Nothing leaves the machine but what the roles ask their endpoints."""

SPOKEN = "Thought: I have spoken.\nFinal Answer: done"


def require() -> None:
    """Check that CrewAI is installed.

    Raises:
        SettingsError: it is not.
    """
    from importlib.util import find_spec

    if find_spec("crewai") is None:
        raise SettingsError(
            "DREAMLAB_LLM_ORCHESTRATOR is crewai, which is not installed: "
            "pip install 'dreamlab[crewai]'"
        )


def confer(experts: Mapping[str, Callable[[], None]], lead: Callable[[], None]) -> None:
    """Let the experts speak, by name, and then the lead. Each speaks once and raises nothing."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    from crewai import Agent, Crew, Process, Task

    agents: list[Any] = []
    tasks: list[Any] = []
    for name, speak in (*experts.items(), ("lead", lead)):
        agent = Agent(
            role=name,
            goal="Refer the caller to services of the directory.",
            backstory=f"You are the {name} of a help desk.",
            llm=_voice(name, speak),
            allow_delegation=False,
            max_iter=1,
            verbose=False,
        )
        last = name == "lead"
        tasks.append(
            Task(
                description=f"Speak as the {name}.",
                expected_output="The word done.",
                agent=agent,
                async_execution=not last,
                context=list(tasks) if last else None,
            )
        )
        agents.append(agent)
    Crew(
        agents=agents, tasks=tasks, process=Process.sequential, memory=False, verbose=False
    ).kickoff()


def _voice(name: str, speak: Callable[[], None]) -> Any:
    """A role as CrewAI sees a model: it speaks when it is first called."""
    from crewai.llms.base_llm import BaseLLM
    from pydantic import PrivateAttr

    class Voice(BaseLLM):
        _spoken: bool = PrivateAttr(default=False)

        def call(self, *_args: Any, **_kwargs: Any) -> str:
            if not self._spoken:
                self._spoken = True
                speak()
            return SPOKEN

        def supports_function_calling(self) -> bool:
            return False

    return Voice(model=name)
