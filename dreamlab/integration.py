"""What a host application imports: the lab of this environment, ready to be used from outside.

The parts of a lab are put together in `lab.py`; no other part of the lab imports this module.
"""

from __future__ import annotations

from dreamlab.lab import Lab, open_lab

__all__ = ["Lab", "open_lab"]
